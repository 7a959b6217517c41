"""What is compared, in the order of the report. The next one is a class in one of these files: how
it starts with its routes, how it ends, and what it does not do."""

from .bare import BareLoop, BareLoopAgain
from .dpdk import L3fwd, L3fwdGraph, Testpmd
from .kernel import Kernel, KernelThread, XdpFib
from .xrouter import Adaptive, FastPath, Xrouter

EACH = (Kernel, KernelThread, XdpFib, BareLoop, Testpmd, L3fwd, L3fwdGraph, Xrouter, FastPath)
ALL = (*EACH, BareLoopAgain)
# Enough to judge by: the others are variants of these.
PEERS = (Kernel, XdpFib, BareLoop, L3fwd, Xrouter, FastPath)
ROUTERS = tuple(forwarder for forwarder in PEERS if forwarder.takes_tables)
