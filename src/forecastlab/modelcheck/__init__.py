"""Checks of the fitted model for the analyst: priors, replications, ages, sensitivity, influence.

Posterior in, tables out; ``checkviews`` shows them, the notebook ``model_check.ipynb`` tells them.
"""
