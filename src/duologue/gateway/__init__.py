"""The ASGI app: routes, keys, admission. The one package that knows everybody (`compose`)."""
