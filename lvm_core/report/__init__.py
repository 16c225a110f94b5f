"""The report: one self-contained HTML page that can be sent to a colleague (`page.report_html`)."""
