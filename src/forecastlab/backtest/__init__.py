"""The back-test: forecasts made again at past dates, each with what was recorded by then, and held against what came."""
