"""Plays the service manager: writes what it is told (sd_notify(3)) into a file, one message a line.

usage: manager.py SOCKET FILE
"""

import socket
import sys

listening = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
listening.bind(sys.argv[1])
while True:
    message = listening.recv(4096).decode()
    with open(sys.argv[2], "a") as told:
        told.write(" ".join(message.split("\n")).strip() + "\n")
