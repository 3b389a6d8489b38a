"""Revenue forecasts with honest intervals from the dated history of a sales pipeline."""
