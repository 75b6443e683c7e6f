"""What people see: pages, the public JSON API under /api/v1, uploads, and the processes that serve them.

`app.create_app` puts the parts together; `api/` has one module per subject of the API; `up` starts the whole service.
"""
