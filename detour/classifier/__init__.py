"""Image classifiers: loaded safely, described fully, edited without writing to them."""
