"""Which systems the compatibility suites test: servers of their own, or those the environment names.

    PDK_TEST_PACHD        host:port of a pachd's gRPC
    PDK_TEST_S3           host:port of its S3 gateway
    PDK_TEST_MASTER       http://host:port of a Determined master
    PDK_TEST_KUBECONFIG   a kubeconfig that may make namespaces
    PDK_TEST_INGRESS      host:port of the ingress of that cluster's KServe

A suite whose variable is set leaves out its tests marked `ours`: those that kill, stop or look inside the server, or
need a scene only we can make. What the others make there has names of this run's own and is removed afterwards.
"""

import os
import uuid

PACHD = os.environ.get("PDK_TEST_PACHD")
S3 = os.environ.get("PDK_TEST_S3")
MASTER = os.environ.get("PDK_TEST_MASTER")
KUBECONFIG = os.environ.get("PDK_TEST_KUBECONFIG")
INGRESS = os.environ.get("PDK_TEST_INGRESS")
SUFFIX = uuid.uuid4().hex[:8]


def own(name):
    """The name made this run's own: `churn/data@master` becomes `churn-5a5a5a5a/data-5a5a5a5a@master`."""
    place, at, rest = name.partition("@")
    return "/".join(f"{part}-{SUFFIX}" for part in place.split("/")) + at + rest


# Where the Kubernetes suites put their objects.
NAMESPACE = own("models") if KUBECONFIG else "models"


def is_named(folder):
    """Whether the environment names the system that the suite in `folder` (a part of its path) tests."""
    return any({"pachyderm": (PACHD, S3), "determined": (MASTER,), "kserve": (KUBECONFIG, INGRESS)}.get(folder, ()))


def split(address):
    """Host and port of `host:port`."""
    host, _, port = address.rpartition(":")
    return host, int(port)
