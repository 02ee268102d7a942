"""Ollama: does it answer, are the expected models there, do loaded ones run on the GPU. Nothing is ever generated:
that would load a model. How many requests wait it tells nobody; those it refuses, its log (collectors/ollama_log)."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from exporters.catalog import services as catalog
from exporters.probes.http1 import Response
from exporters.probes.verdict import Reason, degraded, down
from exporters.probes.web import REFUSED, WebProbe, failed, items, number, parsed, text
from exporters.wanted import WantedProbe

# Listing hundreds of models makes Ollama read as many files.
MODELS_EVERY = 120.0
MAX_LOADED = 50


class Ollama(WebProbe):
    up = catalog.OLLAMA_UP

    def __init__(self, wanted: WantedProbe) -> None:
        super().__init__(wanted)
        self._listed = float("-inf")
        self._models: tuple[str, ...] = ()
        self._in_memory: frozenset[str] | None = None
        self._loads = 0

    async def ask(self) -> Reason | None:
        response = await self.get(f"{self.base}/api/version")
        if response.status in REFUSED:
            return self.refused()
        version = text(answered(response).get("version"))
        if not version:
            raise down(Reason.UNEXPECTED)
        self.figures.add(catalog.OLLAMA_UP, 1.0)
        self.figures.add(catalog.OLLAMA_VERSION, 1.0, version)
        loaded = items(answered(await self.get(f"{self.base}/api/ps")), "models")
        on_cpu = self._tell_loaded(loaded[:MAX_LOADED])
        self._count_loads(frozenset(text(model.get("digest")) or text(model.get("name")) for model in loaded))
        missing = await self._missing()
        if missing:
            return Reason.MODELS_MISSING
        return Reason.ON_CPU if on_cpu and self.wanted.gpu else None

    def _tell_loaded(self, loaded: Sequence[dict[str, Any]]) -> bool:
        """Whether a model runs on the CPU alone."""
        on_cpu = False
        for model in loaded:
            name = text(model.get("name")) or text(model.get("model"))
            size, vram = number(model.get("size")), number(model.get("size_vram")) or 0.0
            if not name:
                continue
            self.figures.add(catalog.OLLAMA_LOADED, 1.0, name)
            self.figures.add(catalog.OLLAMA_SIZE, size, name)
            self.figures.add(catalog.OLLAMA_VRAM, vram, name)
            ratio = gpu_ratio(size, vram)
            self.figures.add(catalog.OLLAMA_GPU, ratio, name)
            on_cpu = on_cpu or ratio == 0.0
        return on_cpu

    def _count_loads(self, in_memory: frozenset[str]) -> None:
        """What was there at the first check was not loaded before our eyes."""
        if self._in_memory is not None:
            self._loads += len(in_memory - self._in_memory)
        self._in_memory = in_memory
        self.figures.add(catalog.OLLAMA_LOADS, self._loads)

    async def _missing(self) -> bool:
        now = time.monotonic()
        # What is missing is asked for again at every check: somebody may be pulling it.
        if now - self._listed >= MODELS_EVERY or lacking(self.wanted, self._models):
            models = items(answered(await self.get(f"{self.base}/api/tags")), "models")
            self._models = tuple(text(model.get("name")) for model in models)
            self._listed = now
        self.figures.add(catalog.OLLAMA_MODELS, len(self._models))
        absent = missing_names(self.wanted.present, self._models)
        for name in self.wanted.present:
            self.figures.add(catalog.OLLAMA_MODEL_MISSING, 1.0 if name in absent else 0.0, name)
        return lacking(self.wanted, self._models)


def answered(response: Response) -> dict[str, Any]:
    """The body of a good answer. Raises Unwell; a refusal for want of room is the queue's."""
    if response.status == 503 and (b"busy" in response.body or b"maximum pending" in response.body):
        raise degraded(Reason.QUEUE_FULL)
    if response.status != 200:
        raise failed(response)
    return parsed(response)


def gpu_ratio(size: float | None, vram: float) -> float | None:
    """The share in GPU memory as ``ollama ps`` has it; None where it says Unknown. A missing size_vram means 0."""
    if not size or vram > size:
        return None
    return vram / size


def missing_names(wanted: Sequence[str], there: Sequence[str]) -> list[str]:
    """``llama3.2`` is there as ``llama3.2:latest`` or with any tag; a name with a tag must be there so."""
    bases = {name.partition(":")[0] for name in there}
    return [name for name in wanted if name not in there and (":" in name or name not in bases)]


def lacking(wanted: WantedProbe, there: Sequence[str]) -> bool:
    return bool(missing_names(wanted.present, there)) or (wanted.models is not None and len(there) < wanted.models)
