"""The calls that renting needs, in the webservice's own words."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from reelgraph.builder.provider import Cancellation, Conflict, FateUnknown, Offer, ProviderError, Server, Transaction
from reelgraph.builder.providers.robot import answers
from reelgraph.builder.providers.robot.transport import Webservice

_CHANNELS = {answers.STANDARD: "/order/server", answers.AUCTION: "/order/server_market"}
# Refusals after which nothing was ordered; every other answer to an order leaves its fate open.
_REFUSALS = {400, 401, 403, 404, 412}


class Robot:
    """A client of the Robot webservice."""

    name = "robot"

    def __init__(self, web: Webservice) -> None:
        self._web = web

    def time(self) -> datetime | None:
        """Return the webservice's clock as of its last answer."""
        return self._web.time

    # Offers

    def offers(self) -> list[Offer]:
        """Return standard and auction machines that have a price."""
        currency = self._currency()
        return [
            offer
            for channel in (answers.STANDARD, answers.AUCTION)
            for product in self._web.entries(f"{_CHANNELS[channel]}/product", "product")
            for offer in answers.parse(answers.offers, channel, product, currency)
        ]

    def offer(self, channel: str, id: str, location: str | None) -> Offer | None:
        """Return one offer as it is now."""
        currency = self._currency()
        product = self._web.get(f"{_CHANNELS[channel]}/product/{id}", "product")
        offers = answers.parse(answers.offers, channel, product, currency) if product is not None else []
        return next((offer for offer in offers if offer.id == id and offer.location == location), None)

    def _currency(self) -> str:
        return answers.parse(lambda: answers.text(self._web.get("/order/currency", "currency")))

    # Orders

    def order(self, offer: Offer, fingerprint: str, *, test: bool) -> Transaction:
        """Order; a comment would hand the order to a person, so there is none."""
        form: dict[str, Any] = {"product_id": offer.id, "authorized_key[]": [fingerprint]}
        if offer.terms.address is not None:
            form["addon[]"] = [answers.ADDRESS]
        if offer.channel == answers.STANDARD and offer.location is not None:
            form["location"] = offer.location
        # The documentation knows no other value than "true": a real order leaves the field out.
        if test:
            form["test"] = "true"
        response = self._web.change("POST", f"{_CHANNELS[offer.channel]}/transaction", form)
        if response.is_success:
            try:
                return answers.transaction(offer.channel, answers.unwrap(response, "transaction"))
            except answers.UNUSABLE as error:
                raise FateUnknown(f"the answer to the order cannot be read ({error})") from error
        if response.status_code in _REFUSALS and (error := answers.error_of(response)):
            raise self._web.refusal(response, error)
        raise FateUnknown(f"the order was answered with status {response.status_code}")

    def transaction(self, channel: str, id: str) -> Transaction | None:
        """Return an order by its id."""
        value = self._web.get(f"{_CHANNELS[channel]}/transaction/{id}", "transaction")
        return None if value is None else answers.parse(answers.transaction, channel, value)

    def transactions(self) -> list[Transaction]:
        """Return the last 30 days' orders of both channels, which are listed apart."""
        return [
            answers.parse(answers.transaction, channel, value)
            for channel, path in _CHANNELS.items()
            for value in self._web.entries(f"{path}/transaction", "transaction")
        ]

    # Machines

    def servers(self) -> list[Server]:
        """Return every server of the account."""
        return [answers.parse(answers.server, value) for value in self._web.entries("/server", "server")]

    def server(self, number: int) -> Server | None:
        """Return a server by its number."""
        value = self._web.get(f"/server/{number}", "server")
        return None if value is None else answers.parse(answers.server, value)

    def cancellation(self, number: int) -> Cancellation | None:
        """Return a server's cancellation data."""
        value = self._web.get(f"/server/{number}/cancellation", "cancellation")
        return None if value is None else answers.parse(answers.cancellation, value)

    def cancel(self, number: int, now: Cancellation) -> None:
        """Cancel for today. The word on the location is wanted exactly where a reservation is possible."""
        form = {"cancellation_date": "now"}
        if now.reservable:
            form["reserve_location"] = "false"
        response = self._web.change("POST", f"/server/{number}/cancellation", form)
        if response.is_success:
            return
        error = answers.error_of(response)
        if response.status_code in (404, 409) and error:
            raise Conflict(f"server {number}: {error['code']}: {error['message']}")
        if response.status_code in _REFUSALS and error:
            raise self._web.refusal(response, error)
        raise FateUnknown(f"the cancellation of server {number} was answered with status {response.status_code}")

    def leftovers(self, number: int) -> list[str]:
        """Return the single addresses and subnets of a server; they have a cancellation of their own."""
        found = []
        for path, kind in (("/ip", "ip"), ("/subnet", "subnet")):
            found += [
                f"{kind} {answers.text(entry.get('ip'))}"
                for entry in self._web.entries(path, kind)
                if entry.get("server_number") == number
            ]
        return found

    # Keys, rescue system, reset

    def upload_key(self, name: str, public_key: str) -> None:
        """Add a key; a conflict means that it is there."""
        response = self._web.change("POST", "/key", {"name": name, "data": public_key})
        if not response.is_success and response.status_code != 409:
            raise self._web.refusal(response, answers.error_of(response))

    def delete_key(self, fingerprint: str) -> None:
        """Delete a key; not found means that it is gone."""
        response = self._web.change("DELETE", f"/key/{fingerprint}", None)
        if not response.is_success and response.status_code != 404:
            raise self._web.refusal(response, answers.error_of(response))

    def rescue(self, number: int, fingerprint: str) -> tuple[str, ...]:
        """Switch the rescue system on; the form field has no brackets here, unlike the order's."""
        response = self._web.change("POST", f"/boot/{number}/rescue", {"os": "linux", "authorized_key": [fingerprint]})
        if not response.is_success:
            raise self._web.refusal(response, answers.error_of(response))
        return answers.parse(lambda: answers.fingerprints(answers.unwrap(response, "rescue").get("host_key")))

    def reset(self, number: int) -> None:
        """Reset by hardware, or by power where that is all there is; "man" would send a technician."""
        options = self._web.get(f"/reset/{number}", "reset")
        types = [kind for kind in ("hw", "power", "sw") if kind in ((options or {}).get("type") or [])]
        if not types:
            raise ProviderError(
                f"server {number}: has no reset without a technician; restart it in the provider's web page"
            )
        response = self._web.change("POST", f"/reset/{number}", {"type": types[0]})
        if not response.is_success:
            raise self._web.refusal(response, answers.error_of(response))
