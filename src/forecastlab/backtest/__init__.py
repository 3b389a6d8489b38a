"""The back-test: forecasts made again at past dates with what was recorded by then, held against what came."""
