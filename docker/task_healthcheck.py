#!/opt/tfrec/bin/python
"""Succeeds where this container's task of a training cluster listens, or trains alone."""

import json
import os
import socket

tf_config = json.loads(os.environ.get("TF_CONFIG", "{}"))
task = tf_config.get("task", {})
addresses = tf_config.get("cluster", {}).get(task.get("type"))
if addresses:
    host, _, port = addresses[task["index"]].rpartition(":")
    socket.create_connection((host, int(port)), timeout=5).close()
