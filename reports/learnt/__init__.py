"""Views of what models learnt: scores, how training went, what it cost, what pretraining is worth."""
