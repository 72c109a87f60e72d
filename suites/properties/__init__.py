"""What a certificate checks, a file a kind; a check raises `BrokenClaimError` with its counterexample."""
