"""The generator of the files in ``dashboards/``: recording rules, alerts and Grafana dashboards.

``python -m traced_image_dashboards`` (in a checkout: ``make dashboards``) writes all of them again.
Names of metrics, labels and reasons come from `traced_image.telemetry.catalogue` alone. So a
renamed metric breaks this generator, not a dashboard.
"""
