"""The Python part of infra/local/demo: sample objects, and the story that is told with them.

Standard library and boto3 only. Nothing of flowship is reimplemented here beyond counting lines: the demo runs the
real binaries and compares what they did with what it knows of the objects that it made.
"""
