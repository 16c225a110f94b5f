"""The report: one HTML page (plots/report.html), its pictures, its tables and its words."""
