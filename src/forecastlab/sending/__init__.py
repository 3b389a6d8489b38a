"""What is sent beside the page: the same report as PDF, its tables as a spreadsheet, and a mail that carries both."""
