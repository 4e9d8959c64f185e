"""The exporter's HTTP server, and the web configuration file of Prometheus's exporters."""
