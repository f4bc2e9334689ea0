#!/usr/bin/env python3
"""Small steps the scripts of this folder leave to Python's standard library.

tools.py answers URL [CA_FILE USER:PASSWORD]   exit 0 when a GET of URL answers 200 within five seconds
tools.py free PORT                             exit 0 when PORT of 127.0.0.1 can be listened on
tools.py unzip ZIP DIR                         unpacks with the files' permissions
"""
import sys


def answers(url, ca_file=None, user=None):
    import base64
    import http.client
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    if parts.scheme == "https":
        import ssl

        context = ssl.create_default_context(cafile=ca_file)
        connection = http.client.HTTPSConnection(parts.netloc, timeout=5, context=context)
    else:
        connection = http.client.HTTPConnection(parts.netloc, timeout=5)
    headers = {}
    if user:
        headers["Authorization"] = "Basic " + base64.b64encode(user.encode()).decode()
    try:
        connection.request("GET", f"{parts.path}?{parts.query}", headers=headers)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False


def free(port):
    import socket

    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", int(port)))
        except OSError:
            return False
    return True


def unzip(zip_file, folder):
    import os
    import zipfile

    with zipfile.ZipFile(zip_file) as archive:
        for member in archive.infolist():
            path = archive.extract(member, folder)
            mode = member.external_attr >> 16 & 0o777
            if mode and not member.is_dir():
                os.chmod(path, mode)
    return True


if __name__ == "__main__":
    steps = {"answers": answers, "free": free, "unzip": unzip}
    if len(sys.argv) < 3 or sys.argv[1] not in steps:
        sys.exit(__doc__)
    sys.exit(0 if steps[sys.argv[1]](*sys.argv[2:]) else 1)
