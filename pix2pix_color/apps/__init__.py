"""What people run: the command line, file jobs, videos, the web page.

Nothing in the library imports an app.
"""
