"""An exported folder on its way to a hub: what goes there, and what did."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from tunesmith.display.table import readable
from tunesmith.errors import HubError, Problem
from tunesmith.plain import JsonObject
from tunesmith.storage.sending import Hub, hub_of
from tunesmith.words import say


@dataclass(frozen=True)
class Sent:
    """What went to a hub, or would go."""

    hub: Hub
    out: Path
    files: dict[str, int]
    """Bytes of each file."""
    public: bool
    met: bool = True
    """Whether the export is what its run requires; it is not sent otherwise."""
    url: str | None = None
    """The model's page; None where nothing was sent."""

    def to_json(self) -> JsonObject:
        """Returns everything as plain values."""
        return {
            "hub": self.hub.title,
            "id": self.hub.id,
            "public": self.public,
            "files": self.files,
            "url": self.url,
        }

    def lines(self) -> list[str]:
        """Returns lines for a person: the address, or what would be sent and why it was not."""
        fields: dict[str, object] = {"hub": self.hub.title, "id": self.hub.id}
        fields |= {"count": len(self.files), "size": readable(sum(self.files.values()))}
        if self.url:
            return [say("hub.sent", url=self.url, **fields)]
        if not self.met:
            return [say("hub.not_sent_lost", id=self.hub.id)]
        fields["visibility"] = say("hub.public" if self.public else "hub.private")
        command = self.hub.command(str(self.out), public=self.public)
        fields |= {"token": self.hub.token_name, "command": command}
        return [
            say("hub.not_sent_token", **fields),
            *(f"  {name}  {readable(size)}" for name, size in self.files.items()),
        ]


def name_base(place: Path, base: str | None) -> None:
    """Writes the base's id on a hub into an adapter, which may name a folder of this machine."""
    file = place / "adapter_config.json"
    config = json.loads(file.read_text(encoding="utf-8"))
    config["base_model_name_or_path"] = base
    file.write_text(json.dumps(config, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def reached(name: str | None, where: str = "export.hub") -> Hub | None:
    """Returns the hub of an id once it knows the token, if there is one; SpecError for what is no
    id (a setting at ``where``), HubError where the hub refuses the token or does not answer.
    """
    hub = hub_of(name, where) if name else None
    if hub and hub.has_token():
        hub.check()
    return hub


def send(hub: Hub, out: Path, *, met: bool, public: bool) -> Sent:
    """Sends the folder where a token is set and the export is ``met``; raises HubError with the
    command that sends it later.
    """
    files = {
        path.relative_to(out).as_posix(): path.stat().st_size
        for path in sorted(out.rglob("*"))
        if path.is_file()
    }
    url = None
    if met and hub.has_token():
        try:
            url = hub.send(out, public=public)
        except HubError as error:
            command = hub.command(str(out), public=public)
            fields = {"error": error.problems[0].text, "out": out, "command": command}
            raise HubError(Problem(hub.id, say("hub.send_later", **fields))) from None
    return Sent(hub, out, files, public, met, url)
