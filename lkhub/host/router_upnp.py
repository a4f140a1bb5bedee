"""Port mappings by UPnP (WANIPConnection and WANPPPConnection, versions 1 and 2).

async-upnp-client finds the router, reads its description and speaks SOAP. Its IgdDevice is not used: it sends 0.0.0.0
where the standard wants an empty remote host, and the seconds of a lease without its days.
"""

import asyncio
from ipaddress import IPv4Address
from typing import Any, Final
from urllib.parse import urlsplit

import anyio
from async_upnp_client.aiohttp import AiohttpRequester
from async_upnp_client.client import UpnpDevice, UpnpService
from async_upnp_client.client_factory import UpnpFactory
from async_upnp_client.exceptions import UpnpActionError, UpnpError
from async_upnp_client.search import SsdpSearchListener
from async_upnp_client.utils import CaseInsensitiveDict

from lkhub.host.router_pcp import Granted, NoAnswerError, RouterError
from lkhub.plan.model import Protocol

# A device may take this long to answer a search (UPnP Device Architecture 1.1, section 1.3.2, MX); searches get lost,
# so it is asked twice.
_SEARCH_SECONDS = 2
_SEARCHES = 2

_HTTP_SECONDS = 5

# A router of version 2 answers to a search for version 1 too.
_ROUTER = "urn:schemas-upnp-org:device:InternetGatewayDevice:1"
_SERVICES = ("WANIPConnection:2", "WANIPConnection:1", "WANPPPConnection:1")

_NO_SUCH_ENTRY, _ONLY_PERMANENT, _CONFLICTS = 714, 725, (718, 729)


class Upnp:
    """A router that speaks UPnP."""

    means: Final = "upnp"
    nonce: Final = ""

    def __init__(self, gateway: str, local: str) -> None:
        self._gateway, self._local = gateway, local
        self._service: UpnpService | None = None
        self._address: IPv4Address | None = None

    async def map(self, protocol: Protocol, port: int, seconds: int, name: str) -> Granted:
        """Ask for a mapping of `port` to the same port outside, marked `name`. Raises RouterError."""
        there = await self._find(protocol, port)
        if there and there["NewPortMappingDescription"] != name:
            if (there["NewInternalClient"], there["NewInternalPort"]) != (self._local, port):
                raise RouterError(f"port {port} goes to {there['NewInternalClient']}")
            return Granted(port, await self._ask_address(), there["NewLeaseDuration"] or None, own=False)
        if there and there["NewInternalClient"] != self._local:
            # Ours, from before this machine got another address.
            await self.unmap(protocol, port)
        given: int | None = seconds
        try:
            await self._act("AddPortMapping", **self._entry(protocol, port, seconds, name))
        except UpnpActionError as error:
            if error.error_code in _CONFLICTS:
                raise RouterError(f"port {port} is taken") from error
            if error.error_code != _ONLY_PERMANENT:
                raise RouterError(_explain(error)) from error
            given = None
            await self._call("AddPortMapping", **self._entry(protocol, port, 0, name))
        return Granted(port, await self._ask_address(), given)

    async def unmap(self, protocol: Protocol, port: int) -> None:
        if await self._find(protocol, port):
            await self._call("DeletePortMapping", NewRemoteHost="", NewExternalPort=port, NewProtocol=protocol.upper())

    async def _ask_address(self) -> IPv4Address:
        if self._address is None:
            answer = await self._call("GetExternalIPAddress")
            try:
                self._address = IPv4Address(answer["NewExternalIPAddress"])
            except ValueError:  # none yet: it is not connected
                self._address = IPv4Address(0)
        return self._address

    def _entry(self, protocol: Protocol, port: int, seconds: int, name: str) -> dict[str, Any]:
        return {
            "NewRemoteHost": "",
            "NewExternalPort": port,
            "NewProtocol": protocol.upper(),
            "NewInternalPort": port,
            "NewInternalClient": self._local,
            "NewEnabled": True,
            "NewPortMappingDescription": name,
            "NewLeaseDuration": seconds,
        }

    async def _find(self, protocol: Protocol, port: int) -> dict[str, Any] | None:
        """The mapping that the router has for this outside port."""
        try:
            return await self._act(
                "GetSpecificPortMappingEntry", NewRemoteHost="", NewExternalPort=port, NewProtocol=protocol.upper()
            )
        except UpnpActionError as error:
            if error.error_code == _NO_SUCH_ENTRY:
                return None
            raise RouterError(_explain(error)) from error

    async def _call(self, action: str, **arguments: Any) -> dict[str, Any]:
        """The answer to an action. Raises RouterError."""
        try:
            return await self._act(action, **arguments)
        except UpnpActionError as error:
            raise RouterError(_explain(error)) from error

    async def _act(self, action: str, **arguments: Any) -> dict[str, Any]:
        """The same, and UpnpActionError where the router understands and refuses."""
        service = await self._open()
        try:
            return dict(await service.action(action).async_call(**arguments))
        except UpnpActionError:
            raise
        except UpnpError as error:
            raise RouterError(_explain(error)) from error

    async def _open(self) -> UpnpService:
        if self._service is None:
            location = await _search(self._gateway, self._local)
            try:
                device = await UpnpFactory(AiohttpRequester(_HTTP_SECONDS)).async_create_device(location)
            except UpnpError as error:
                raise NoAnswerError(_explain(error)) from error
            self._service = _choose_service(device, self._gateway)
        return self._service


def _choose_service(device: UpnpDevice, gateway: str) -> UpnpService:
    found = {service.service_type: service for service in device.all_services}
    for name in _SERVICES:
        service = found.get(f"urn:schemas-upnp-org:service:{name}")
        # What a device says of itself must not send us anywhere else.
        if service and urlsplit(service.control_url).hostname == gateway:
            return service
    raise NoAnswerError("it speaks UPnP and offers no port mapping")


async def _search(gateway: str, local: str) -> str:
    """The URL of the gateway's description. Another device that says it is a router is not listened to."""
    found: list[str] = []
    answered = anyio.Event()

    def hear(headers: CaseInsensitiveDict) -> None:
        location = str(headers.get("location", ""))
        if urlsplit(location).hostname == gateway:
            found.append(location)
            answered.set()

    listener = SsdpSearchListener(
        callback=hear,
        loop=asyncio.get_running_loop(),
        source=(local, 0),
        timeout=_SEARCH_SECONDS,
        search_target=_ROUTER,
        connect_callback=lambda: listener.async_search(),
    )
    try:
        await listener.async_start()
        for _ in range(_SEARCHES):
            with anyio.move_on_after(_SEARCH_SECONDS):
                await answered.wait()
                return found[0]
            listener.async_search()
    except OSError as error:
        raise NoAnswerError(f"no search on the network: {error.strerror}") from error
    finally:
        listener.async_stop()
    raise NoAnswerError("it does not answer a search")


def _explain(error: UpnpError) -> str:
    if isinstance(error, UpnpActionError):
        return f"UPnP error {error.error_code}, {error.error_desc}"
    return str(error) or type(error).__name__
