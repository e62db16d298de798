#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""A listener that wants every event of an entry's end, and takes none.

As conntrackd with NetlinkEventsReliable that is stopped: once its buffer is full, the kernel
keeps each entry that ends until there is room for its event. "ready" on stdout says that it
listens; it does until it is killed.
"""
import signal
import socket

NETLINK_NETFILTER = 12
SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, NETLINK_BROADCAST_ERROR = 270, 1, 4
NFNLGRP_CONNTRACK_DESTROY = 3

events = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
events.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
events.bind((0, 0))
events.setsockopt(SOL_NETLINK, NETLINK_BROADCAST_ERROR, 1)
events.setsockopt(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, NFNLGRP_CONNTRACK_DESTROY)
print("ready", flush=True)
signal.pause()
