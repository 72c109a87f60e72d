"""The transfer suite's two experiments: masked words learnt first; attention dropped into an encoder."""
