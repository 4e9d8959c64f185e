"""The examples of the page of the lab, which the tests run in their order."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

EXAMPLES: Mapping[str, str] = {
    "cluster": """
import traced_image
from traced_image import lab

with lab.cluster(2) as (first, second):
    with traced_image.connect(servers=[first.url, second.url], telemetry=False) as service:
        assert service.detail(None) == []
""",
    "GlanceServer": """
images = lab.Images()
with lab.GlanceServer(images, prefix="/image") as server:
    assert server.url == f"http://127.0.0.1:{server.port}/image"
""",
    "Identity": """
tokens = {"ann's": lab.Identity(project_id="p", user_id="ann", roles=("member",))}
with lab.GlanceServer(tokens=tokens) as server:
    image_id = server.images.add(visibility="private", owner="another project")
""",
    "Limits": """
small = lab.Images(limits=lab.Limits(tags=2, size=1024))
""",
    "GlanceServer.start": """
server = lab.GlanceServer(images)
server.start()
""",
    "GlanceServer.stop": """
server.stop()
""",
    "GlanceServer.break_with": """
server.break_with(lab.faults.status(503, retry_after=2))
""",
    "GlanceServer.heal": """
server.heal()
""",
    "GlanceServer.clear_log": """
server.clear_log()
assert server.access_log == ()
""",
    "GlanceServer.reset": """
server.reset()
""",
    "GlanceServer.find_requests": """
assert server.find_requests(method="PUT", status=503) == ()
""",
    "GlanceServer.wait_for": """
import urllib.request

with server:
    urllib.request.urlopen(f"{server.url}/v2/images").close()
    (access,) = server.wait_for(1, method="GET", path="/v2/images$")
assert access.headers["host"] == access.headers["host"].lower()
""",
    "GlanceServer.assert_called": """
server.assert_called(times=1, method="GET", status=200)
""",
    "GlanceServer.assert_not_called": """
server.assert_not_called(method="DELETE")
""",
    "Images.add": """
image_id = images.add(name="cirros", data=b"...", os_distro="cirros")
""",
    "Images.get": """
assert images.get(image_id).status == "active"
""",
    "Images.all": """
assert [image.id for image in images.all()] == [image_id]
""",
    "Images.clear": """
lab.Images().clear()
""",
    "Images.remove": """
other_id = images.add(name="other")
images.remove(other_id)
assert images.get(other_id) is None
""",
    "Access": """
with lab.GlanceServer(images) as server:
    with traced_image.connect(servers=[server.url], telemetry=False) as service:
        service.detail(None)
    (access,) = server.access_log
    assert (access.method, access.status, access.fault) == ("GET", 200, None)
""",
    "Fault.only": """
fault = lab.faults.status(503).only(method="PUT", path=r"/file$")
""",
    "Fault.times": """
fault = lab.faults.never_answer().times(2)
""",
    "Fault.with_probability": """
fault = lab.faults.status(503).with_probability(0.3, seed=1)
""",
    "Fault.per_client": """
fault = lab.faults.flapping(lab.faults.status(503), None).per_client("token")
""",
    "Fault.during": """
fault = lab.faults.refuse().during(2, 5, every=10)
""",
    "Fault.after_effect": """
fault = lab.faults.status(503).after_effect()
""",
    "parse_fault": """
fault = lab.parse_fault("status(503, retry_after=2).only(method='PUT')")
""",
    "TLS.trusted": """
tls = lab.TLS.trusted()
with lab.GlanceServer(images, tls=tls) as server:
    with traced_image.connect(
        servers=[server.url], cafile=str(tls.cafile), telemetry=False
    ) as service:
        assert len(service.detail(None)) == 1
""",
    "Proxy": """
import os

with lab.Proxy() as proxy, lab.GlanceServer(images, tls=tls) as server:
    os.environ["https_proxy"] = proxy.url
    with traced_image.connect(
        servers=[server.url], cafile=str(tls.cafile), telemetry=False
    ) as service:
        assert len(service.detail(None)) == 1
    del os.environ["https_proxy"]
    assert proxy.access_log[0].method == "CONNECT"
""",
    "Proxy.start": """
proxy = lab.Proxy()
proxy.start()
""",
    "Proxy.break_with": """
proxy.break_with(lab.faults.status(407).only(method="CONNECT"))
""",
    "Proxy.heal": """
proxy.heal()
""",
    "Proxy.reset": """
proxy.reset()
""",
    "Proxy.find_requests": """
assert proxy.find_requests(method="CONNECT") == ()
""",
    "Proxy.assert_called": """
proxy.assert_called(times=0)
""",
    "Proxy.assert_not_called": """
proxy.assert_not_called(method="CONNECT")
""",
    "Proxy.wait_for": """
try:
    proxy.wait_for(1, timeout=0.01)
except AssertionError as error:
    assert "The access log is empty." in str(error)
""",
    "Proxy.clear_log": """
proxy.clear_log()
assert proxy.access_log == ()
""",
    "Proxy.stop": """
proxy.stop()
""",
    "Control": """
import json
import urllib.request

with lab.cluster(2, images=images) as servers, lab.Control(servers) as control:
    urllib.request.urlopen(
        urllib.request.Request(
            f"{control.url}/servers/glance-2/fault",
            json.dumps({"fault": "status(503).times(3)"}).encode(),
            method="PUT",
        )
    ).close()
    servers[1].heal()
""",
    "Control.start": """
server.start()
control = lab.Control([server])
control.start()
""",
    "Control.stop": """
control.stop()
server.stop()
""",
}
"""Each example by the name of what it shows. It may use names that one before it has bound."""
