"""The work of the AI nodes: models of Ollama, images of ComfyUI."""

from __future__ import annotations

from collections.abc import Collection

from dashboards import limits
from dashboards.board import Section, Tile, note
from dashboards.columns import Column
from dashboards.queries import Query, increase, pick, rate, ratio
from dashboards.view import View
from exporters.catalog import services as catalog


def ollama(view: View) -> list[Tile]:
    return [*_models(view), *_requests(view)]


def _models(view: View) -> list[Tile]:
    house, scope, count = view.house, view.exporters, view.services("ollama")
    keep = "max by (node, service, model) "
    node = [] if view.single else [Column("node", "Node", width=90)]
    return [
        house.table(
            "Models in memory",
            note(
                "Models that Ollama has loaded, their size, and which share of it is on the CPU. None is normal:"
                " they are dropped after five minutes without a question.",
                "A part on the CPU makes answers many times slower.",
                "On the CPU: a smaller model or context, ollama stop what else is loaded; all of it: restart the"
                " container, it may have lost the GPU.",
            ),
            [
                Query(keep + f"({pick(catalog.OLLAMA_SIZE, scope)})", "", table=True),
                Query(keep + f"(1 - {pick(catalog.OLLAMA_GPU, scope)})", "", table=True),
            ],
            [
                *node,
                Column("service", "Service", width=90),
                Column("model", "Model"),
                Column("Value #A", "Memory", "bytes", width=100),
                Column("Value #B", "On the CPU", "percentunit", bar=True, limit=limits.ON_CPU, decimals=0),
            ],
            rows=4,
            width=12,
            sort="Memory",
            empty="no model is loaded",
        ),
        house.table(
            "Models missing",
            note(
                "Models that cluster.yaml expects and that are not there.",
                "Who asks for one gets an error.",
                "ollama pull MODEL on the node, or correct expect in cluster.yaml.",
            ),
            [Query(f"{pick(catalog.OLLAMA_MODEL_MISSING, scope)} == 1", "", table=True)],
            [*node, Column("service", "Service", width=90), Column("model", "Model")],
            rows=4,
            width=6,
            empty="none, or nobody could look",
        ),
        house.graph(
            "Models on disk",
            note(
                "Models that are there to be loaded.",
                "Fewer than expected makes the service degraded.",
                "ollama list on the node.",
            ),
            [Query(pick(catalog.OLLAMA_MODELS, scope), view.name("service"))],
            "short",
            lines=count,
            width=6,
            decimals=0,
        ),
    ]


def _requests(view: View) -> list[Tile]:
    house, scope, count = view.house, view.exporters, view.services("ollama")
    return [
        house.graph(
            "Requests to models",
            note(
                "Requests a second that Ollama answered, by HTTP status, from the log of its container.",
                "503 is refused: its queue is full. Ollama tells nothing else of its queue. 500 is a model that"
                " failed.",
                "OllamaRefuses tells it. Fewer clients, a smaller model, OLLAMA_NUM_PARALLEL. Nothing here: it runs in"
                " no container that cluster.yaml names.",
            ),
            [Query(rate(catalog.OLLAMA_REQUESTS, scope), view.name("service", "code"))],
            "reqps",
            lines=3 * count,
            by_node=False,
            height=7,
        ),
        house.graph(
            "Models loaded",
            note(
                "How often a model came into memory.",
                "Models that push out one another are loaded again for each question: half a minute each time.",
                "OllamaThrashes tells it. OLLAMA_MAX_LOADED_MODELS, a longer OLLAMA_KEEP_ALIVE, or fewer models.",
            ),
            [Query(increase(catalog.OLLAMA_LOADS, scope), view.name("service"))],
            "short",
            lines=count,
            height=7,
        ),
    ]


def comfyui(view: View) -> list[Tile]:
    house, scope, legend = view.house, view.exporters, view.name("service")
    count = view.services("comfyui")
    free, size = pick(catalog.COMFYUI_VRAM_FREE, scope), pick(catalog.COMFYUI_VRAM_TOTAL, scope)
    return [
        house.graph(
            "Images waiting and made",
            note(
                "Jobs of ComfyUI that wait, and the one that runs.",
                "The queue is in its memory only: a restart drops it without a word.",
                "A queue that only grows: see how long the job runs, beside this graph.",
            ),
            [
                Query(pick(catalog.COMFYUI_PENDING, scope), f"{legend} waiting"),
                Query(pick(catalog.COMFYUI_RUNNING, scope), f"{legend} runs"),
            ],
            "short",
            lines=2 * count,
            stack=True,
            by_node=False,
            width=8,
            decimals=0,
        ),
        house.graph(
            "Running image job",
            note(
                "How long the job that runs was seen running; nothing while none runs.",
                "After half an hour (or its max_age) the service is called degraded: its queue does not move.",
                "Interrupt it in ComfyUI's page; docker restart comfyui when nothing helps.",
            ),
            [Query(pick(catalog.COMFYUI_RUNNING_SECONDS, scope), legend)],
            "s",
            lines=count,
            width=8,
        ),
        house.graph(
            "Memory left for images",
            note(
                "Share of the device's memory that is free for ComfyUI, what torch keeps in reserve included.",
                "A job that does not fit ends with an error.",
                "Free it: POST /free of ComfyUI, or stop what else uses the GPU.",
            ),
            [Query(ratio(free, size), view.name("service", "device"))],
            "percentunit",
            lines=count,
            high=1,
            width=8,
        ),
    ]


def section(view: View, kinds: Collection[str], *, collapsed: bool = False) -> Section:
    tiles = ollama(view) if "ollama" in kinds else []
    if "comfyui" in kinds:
        tiles += comfyui(view)
    return Section("Models and images", tiles, collapsed=collapsed)
