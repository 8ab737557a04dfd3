#!/usr/bin/env python
"""Django's command-line utility for this project."""

import logging
import os
import sys

from django.core.management import execute_from_command_line

LINE = "%(asctime)s %(levelname)s %(name)s: %(message)s"
"""A record of the log: without this, what workers have to say would come without time and place."""

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "workflowsite.settings")
    logging.basicConfig(format=LINE)
    execute_from_command_line(sys.argv)
