"""ComfyUI: does it answer, does its GPU answer (/system_stats fails when CUDA is lost, everything else goes on), does
its queue move."""

from __future__ import annotations

import re
from time import monotonic

from exporters.catalog import services as catalog
from exporters.probes.verdict import Reason, down
from exporters.probes.web import WebProbe, failed, items, number, parsed, text
from exporters.wanted import WantedProbe

# /queue holds whole workflows, megabytes; the running job stands at its beginning.
QUEUE_PREFIX = 4096
_RUNNING = re.compile(rb'"queue_running"\s*:\s*\[\s*(?:\]|\[\s*[^,]{1,40},\s*"([^"]{1,100})")')
# Jobs wait and none runs for this long: the worker is dead. In seconds.
IDLE_WITH_WORK = 60.0
# One job for this long, unless ``max_age`` says otherwise.
LONGEST_JOB = 1800.0


class ComfyUi(WebProbe):
    up = catalog.COMFYUI_UP
    # Loading a model stalls its event loop.
    patience = 3

    def __init__(self, wanted: WantedProbe) -> None:
        super().__init__(wanted)
        self._job = ""
        self._since = 0.0

    async def ask(self) -> Reason | None:
        response = await self.get(f"{self.base}/prompt")
        if response.status != 200:
            raise failed(response)
        information = parsed(response).get("exec_info")
        remaining = number(information.get("queue_remaining")) if isinstance(information, dict) else None
        if remaining is None:
            raise down(Reason.UNEXPECTED)
        self.figures.add(catalog.COMFYUI_UP, 1.0)
        self.figures.add(catalog.COMFYUI_REMAINING, remaining)
        await self._devices()
        return await self._queue(remaining)

    async def _devices(self) -> None:
        response = await self.get(f"{self.base}/system_stats")
        if response.status == 500:
            raise down(Reason.GPU_LOST)
        if response.status != 200:
            raise failed(response)
        answer = parsed(response)
        system = answer.get("system")
        if isinstance(system, dict) and (version := text(system.get("comfyui_version"))):
            self.figures.add(catalog.COMFYUI_INFO, 1.0, version)
        for place, device in enumerate(items(answer, "devices")[:16]):
            index = number(device.get("index"))
            name = f"{text(device.get('type'), 20)}:{place if index is None else int(index)}"
            self.figures.add(catalog.COMFYUI_VRAM_TOTAL, number(device.get("vram_total")), name)
            self.figures.add(catalog.COMFYUI_VRAM_FREE, number(device.get("vram_free")), name)

    async def _queue(self, remaining: float) -> Reason | None:
        if remaining == 0:
            self._job, self._since = "", 0.0
            self.figures.add(catalog.COMFYUI_RUNNING, 0.0)
            self.figures.add(catalog.COMFYUI_PENDING, 0.0)
            return None
        response = await self.get(f"{self.base}/queue", prefix=QUEUE_PREFIX)
        match = _RUNNING.search(response.body) if response.status == 200 else None
        if match is None:
            return None  # what runs is not known; nothing is said
        job = (match[1] or b"").decode("utf-8", "replace")
        now = monotonic()
        if job != self._job or not self._since:
            self._job, self._since = job, now
        running = 1.0 if job else 0.0
        self.figures.add(catalog.COMFYUI_RUNNING, running)
        self.figures.add(catalog.COMFYUI_PENDING, max(0.0, remaining - running))
        seconds = now - self._since
        if job:
            self.figures.add(catalog.COMFYUI_RUNNING_SECONDS, seconds)
        limit = (self.wanted.max_age or LONGEST_JOB) if job else IDLE_WITH_WORK
        return Reason.QUEUE_STUCK if seconds > limit else None
