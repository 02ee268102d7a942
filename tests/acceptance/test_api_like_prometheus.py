"""A real Prometheus and our rooms watch the same node_exporter with the same rules: the answers must be alike.

Scrape, store, engine, rules and API are the real ones. Compared are keys, types and label sets, not times and values;
errors must be the same to the letter where they are not the parser's own words.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientError, ClientSession, web

from alerting.api.app import build_app
from alerting.api.ports import ConfigState, Services
from alerting.clock import SystemClock
from alerting.model.labels import Labels
from alerting.promql.engine import Engine
from alerting.rules.expressions import evaluate_with
from alerting.rules.group import Surroundings
from alerting.rules.load import load_rules
from alerting.rules.manager import RuleManager
from alerting.rules.state_store import MemoryStateStore
from alerting.scrape.http import HttpPages
from alerting.scrape.manager import ScrapeManager
from alerting.scrape.targets import Target
from alerting.selfmetrics import SelfMetrics, Sources
from alerting.storage.store import Store, StoreOptions
from config.alerting import Limits
from tests.alerting.rules.world import Listener
from tests.support.machine import PATIENCE
from tests.support.peers import need
from tests.support.ports import free_port

pytestmark = pytest.mark.acceptance

RULES = """
groups:
  - name: g
    interval: 1s
    rules:
      - {record: "a:b", expr: "sum(up)"}
      - {record: "a:c", expr: "sum(up)", labels: {x: "y"}}
      - {alert: Up, expr: "up==1", labels: {severity: info}, annotations: {summary: "{{ $value }}"}}
      - {alert: UpLong, expr: "up == 1", for: 1h}
      - {alert: Never, expr: "up == 1 and on() nothing", for: 1m30s, keep_firing_for: 5s}
"""

SAME_SHAPE = [
    "query?query=up",
    "query?query=1%2B1&time=4",
    'query?query="text"&time=4.25',
    "query?query=up[10s]",
    "query?query=nothing",
    "query?query=node_load1>bool+1e9",
    "query_range?query=up&start=START&end=END&step=1",
    "query_range?query=42&start=START&end=END&step=1m0s",
    "query_range?query=nothing&start=START&end=END&step=1",
    "query_exemplars?query=test&start=1795411953387&end=1795413753387",
    "labels",
    "labels?match[]=up",
    "label/__name__/values?match[]=up&match[]=node_load1",
    "label/node/values",
    "label/none/values",
    "series?match[]=up&match[]=node_load5",
    "series?match[]=nothing",
    "metadata?metric=node_load1",
    "metadata?metric=none",
    "targets/metadata?metric=node_load1",
    "rules",
    "rules?type=alert",
    "rules?type=record",
    "alerts",
    "targets",
    "targets?state=active",
    "targets?state=dropped",
    "targets?scrapePool=none",
    "scrape_pools",
    "query?query=up&lookback_delta=1m",
    "query?query=up&timeout=10s",
    "status/tsdb",
    "status/walreplay",
    "status/buildinfo",
    "status/runtimeinfo",
    "status/config",
    "format_query?query=sum(up)by(job)",
    "alertmanagers",
]
# Equal to the last character: these answers hold no time and no measurement.
SAME_ANSWER = [
    "query?query=1%2B1&time=4",
    'query?query="text"&time=4.25',
    "query?query=vector(1e-7)&time=0.001",
    "query?query=vector(123456789012345678901234)&time=1",
    "query?query=vector(-1/0)&time=1",
    "query_range?query=vector(0.1)&start=0&end=1&step=0.25",
    "query_range?query=vector(1)&start=2023-11-14T22:12:20Z&end=2023-11-14T23:12:21.5%2B01:00&step=1m",
    "labels?match[]=up",
    'label/__name__/values?match[]={node="N1"}&match[]=a:b',
    "label/node/values",
    "series?match[]=up&match[]=node_load5&match[]=a:c",
    "metadata?metric=node_load1",
    "targets/metadata?metric=node_load1",
    "targets/metadata?metric=none",
    "format_query?query=sum(up)by(job)",
    "query?query=up&time=1&lookback_delta=1h",
    "label/__name__/values?match[]=up&match[]=nothing",
    "label/node/values?match[]=nothing",
    "label/node/values?start=1&end=2",
    "labels?match[]=nothing",
    "series?match[]=up&start=1&end=2",
    "query_range?query=vector(1)&start=0&end=11000&step=1",
    "query_range?query=time()&start=-5.5&end=5.5&step=1m0s",
    "query_range?query=vector(time())&start=1&end=1&step=1e9",
    "query_range?query=-vector(1.5e300)&start=1&end=3&step=1s500ms",
    "query?query=label_replace(vector(1),'a','é\"\\\\','','')&time=1.5",
    "query?query=vector(0.1%2B0.2)&time=1e3",
    "query?query=time()&time=1970-01-01T00:00:01.25Z",
]
SAME_ERROR = [
    "query?query=label_replace(up,'a','b','c','(')",
    "query?query=up&time=1970-01-01",
    "query?query=up&time=-",
    "query?query=up&timeout=-",
    "query_range?query=up&start=x&end=2&step=1",
    "query_range?query=up&start=1&end=x&step=1",
    "query_range?query=up&start=1&end=2&step=x",
    "query_range?query=up&start=1&end=2&step=1e300",
    "query_range?query=up&start=1&end=2&step=1&timeout=x",
    "query_range?query=up&start=1&end=11002&step=1",
    "query_exemplars?query=up&start=x",
    "query_exemplars?query=up&end=x",
    "series?start=x&match[]=up",
    "series?match[]={node=~'.*'}",
    "label/node/values?end=x",
    "label/node/values?match[]={}",
    "metadata?limit=1.5",
    "targets/metadata?limit=x",
    "query?query=vector(1)*on()(vector(1)%20or%20label_replace(vector(1),'a','b','',''))",
    "query?query=topk(1e300,up)",
    "query?query=label_replace({job='node'},'__name__','x','','')",
    "query?query=count_values('',up)",
    "query?query=up&time=abc",
    "query?query=up&timeout=abc",
    "query_range?query=up&end=1&step=1",
    "query_range?query=up&start=1&step=1",
    "query_range?query=up&start=1&end=2",
    "query_range?query=up&start=1&end=0&step=1",
    "query_range?query=up&start=1&end=2&step=0",
    "query_range?query=up&start=1&end=2&step=-1s",
    "query_range?query=up&start=1&end=2&step=1e-10",
    "query_range?query=up&start=1&end=2&step=Inf",
    "query?query=up&time=2023-11-14t22:13:20z",
    "query_range?query=up&start=1&end=20000&step=1",
    "query_exemplars?query=up&start=2&end=1",
    "series",
    "series?match[]={}",
    "labels?start=x",
    "metadata?limit=x",
    "rules?type=x",
]
# The words are the parser's own: the status and the kind of error are the same.
SAME_KIND = [
    "query?query=topk(NaN,up)",
    "query_range?query='a'&start=1&end=2&step=1",
    "query_range?query=up[5m]&start=1&end=2&step=1",
    "query?query=",
    "query?query=sum(",
    "query?query=up)",
    "query?query=up{",
    "query?query=foo%20bar",
    "query?query=nope(up)",
    "query?query=rate(up)",
    "query?query=up%20offset%20up",
    "query?query={}",
    "query?query=1==1",
    "query?query=up{a=~'('}",
    "query?query='a",
    "query?query=up%20and%201",
    "query?query=up[0s]",
    "query?query=sum(up,up)",
    "query_range?query=sum(&start=1&end=2&step=1",
    "query_exemplars?query=sum(",
    "format_query?query=sum(",
    "format_query",
    "series?match[]=sum(up)",
    "series?match[]=up[5m]",
    "series?match[]=up%20offset%201m",
    "series?match[]=",
    "labels?match[]=(",
    "label/node/values?match[]=(",
    "targets/metadata?match_target=(",
]
# Added by newer versions of Prometheus than the one compared with, or only there.
LATER = {"droppedTargetCounts", "hostname", "serverTime", "GOMEMLIMIT"}


@dataclass
class Both:
    ours: str
    theirs: str
    session: ClientSession
    instance: str
    first: float = 0
    last: float = 0

    async def ask(self, path: str) -> tuple[tuple[int, Any], tuple[int, Any]]:
        found = []
        for base in (self.ours, self.theirs):
            url = f"{base}/api/v1/{path.replace('START', str(self.first)).replace('END', str(self.last))}"
            async with self.session.get(url) as response:
                found.append((response.status, await response.json()))
        return found[0], found[1]


def shape(value: Any) -> Any:
    """Keys and types; of lists the different shapes in them."""
    if isinstance(value, dict):
        # Newer versions also show the labels of a recording rule that has none.
        kept = {key: item for key, item in value.items() if key not in LATER and (key, item) != ("labels", {})}
        return {key: shape(item) for key, item in sorted(kept.items())}
    if isinstance(value, list):
        return sorted({repr(shape(item)) for item in value})
    return "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__


def told(answer: tuple[int, Any]) -> tuple[int, str, str]:
    """Status, kind and text of an error; the first letter of a sentence within has changed since 2.x."""
    status, body = answer
    return status, body.get("errorType", ""), body.get("error", "").replace("Invalid time value", "invalid time value")


@asynccontextmanager
async def process(log: Path, *command: str) -> AsyncIterator[None]:
    with log.open("wb") as out:
        running = await asyncio.create_subprocess_exec(*command, stdout=out, stderr=out, cwd=log.parent)
        try:
            yield
        finally:
            running.kill()
            await running.wait()


@asynccontextmanager
async def ours(tmp_path: Path, port: int) -> AsyncIterator[str]:
    """Our rooms, put together; the base URL."""
    clock = SystemClock()
    labels = Labels.of({"job": "node", "instance": f"127.0.0.1:{port}", "node": "N1"})
    target = Target(f"node/127.0.0.1:{port}", f"http://127.0.0.1:{port}/metrics", labels, 1.0, 1.0, Limits())
    store = Store.open(tmp_path / "store.sqlite", StoreOptions(), clock.now_ms())
    engine = Engine(store)
    async with AsyncExitStack() as stack:
        stack.callback(store.close)
        scrape = ScrapeManager(store.source, await stack.enter_async_context(HttpPages()), clock)
        scrape.start([target])
        stack.push_async_callback(scrape.stop)
        around = Surroundings(evaluate_with(engine), store, 1000)
        groups = load_rules([tmp_path / "rules.yml"])
        rules = RuleManager(groups, around, sink=Listener(), clock=clock, store=MemoryStateStore())
        task = asyncio.get_running_loop().create_task(rules.run())
        stack.callback(task.cancel)
        services = Services(
            queries=engine,
            index=store,
            rules=rules,
            targets=scrape,
            clock=clock,
            not_ready=lambda: "" if scrape.first_round_done else "the first scrapes are not done",
            metrics=SelfMetrics(Sources("1", scrape=lambda: scrape.stats, store=store.stats)).render,
            config=lambda: ConfigState("a: 1\n", clock.now_ms()),
            started_ms=clock.now_ms(),
        )
        runner = web.AppRunner(build_app(services))
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        task.cancel()
        await asyncio.wait([task])


PROMETHEUS = """
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: [rules.yml]
scrape_configs:
  - job_name: node
    static_configs: [{{targets: ["127.0.0.1:{port}"], labels: {{node: N1}}}}]
"""


@pytest.fixture
async def both(tmp_path: Path) -> AsyncIterator[Both]:
    exporter, port = free_port(), free_port()
    (tmp_path / "rules.yml").write_text(RULES)
    (tmp_path / "prometheus.yml").write_text(PROMETHEUS.format(port=exporter))
    node_exporter, prometheus = need("prometheus-node-exporter"), need("prometheus")
    arguments = ["--config.file=prometheus.yml", f"--web.listen-address=127.0.0.1:{port}", "--storage.tsdb.path=data"]
    async with AsyncExitStack() as stack:
        # As many series in each scrape: file systems and networks of others come and go beside this test.
        few = ("--collector.disable-defaults", "--collector.loadavg", "--collector.meminfo", "--collector.uname")
        listen = f"--web.listen-address=127.0.0.1:{exporter}"
        await stack.enter_async_context(process(tmp_path / "exporter.log", node_exporter, listen, *few))
        await stack.enter_async_context(process(tmp_path / "prometheus.log", prometheus, *arguments))
        base = await stack.enter_async_context(ours(tmp_path, exporter))
        session = await stack.enter_async_context(ClientSession())
        found = Both(base, f"http://127.0.0.1:{port}", session, f"127.0.0.1:{exporter}")
        for url in (found.ours, found.theirs):
            await until_settled(session, url)
        now = SystemClock().now_ms() / 1000
        found.first, found.last = now - 1, now
        yield found


async def until_settled(session: ClientSession, base: str) -> None:
    """Until the target is up, every rule was evaluated and both alerts are there."""
    async with asyncio.timeout(30 * PATIENCE):
        while True:
            try:
                async with session.get(f"{base}/api/v1/alerts") as response:
                    alerts = (await response.json())["data"]["alerts"]
                    settled = {alert["labels"]["alertname"] for alert in alerts} == {"Up", "UpLong"}
                async with session.get(f'{base}/api/v1/query?query=ALERTS{{alertstate="pending"}}') as response:
                    settled = settled and bool((await response.json())["data"]["result"])
                async with session.get(f"{base}/api/v1/query?query=a:c") as response:
                    settled = settled and bool((await response.json())["data"]["result"])
            except (ClientError, ValueError):
                settled = False
            if settled:
                return
            await asyncio.sleep(0.2)


async def test_the_answers_are_alike(both: Both) -> None:
    different: list[str] = []
    for path in SAME_SHAPE:
        (our_status, our_body), (their_status, their_body) = await both.ask(path)
        if (our_status, shape(our_body)) != (their_status, shape(their_body)):
            different.append(
                f"{path}\n  ours:   {our_status} {shape(our_body)}\n  theirs: {their_status} {shape(their_body)}"
            )
    for path in SAME_ANSWER:
        mine, theirs = await both.ask(path)
        if mine != theirs:
            different.append(f"{path}\n  ours:   {mine}\n  theirs: {theirs}")
    for path in SAME_ERROR + SAME_KIND:
        mine, theirs = await both.ask(path)
        same = told(mine) == told(theirs) if path in SAME_ERROR else told(mine)[:2] == told(theirs)[:2]
        if not same or theirs[0] < 400:
            different.append(f"{path}\n  ours:   {mine}\n  theirs: {theirs}")
    assert not different, "\n".join(different)


async def test_up_and_the_rules_say_the_same(both: Both) -> None:
    for query in ("up", "a:b", "a:c", "ALERTS", "count(count by (__name__) ({job='node'}))", "scrape_samples_scraped"):
        mine, theirs = await both.ask(f"query?query={query}")
        kept = [[(row["metric"], row["value"][1]) for row in body["data"]["result"]] for _, body in (mine, theirs)]
        assert sorted(map(repr, kept[0])) == sorted(map(repr, kept[1])), query
    mine, theirs = await both.ask("alerts")
    told = [[{**alert, "activeAt": ""} for alert in body["data"]["alerts"]] for _, body in (mine, theirs)]
    assert told[0] == told[1]


async def test_promtool_understands_the_answers(both: Both) -> None:
    """Prometheus' own client reads JSON strictly."""
    labels = f'instance="{both.instance}", job="node", node="N1"'
    for arguments, expected in (
        (["instant", "BASE", "up"], f"up{{{labels}}} => 1 @["),
        (["instant", "BASE", "1/0"], "scalar: +Inf @["),
        (["range", "BASE", "sum(up)"], "{} =>\n1 @["),
        (["series", "BASE", "--match=up"], f'{{__name__="up", {labels}}}\n'),
        (["labels", "BASE", "node"], "N1\n"),
    ):
        command = [both.ours if word == "BASE" else word for word in arguments]
        running = await asyncio.create_subprocess_exec(
            need("promtool"), "query", *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        output = (await running.communicate())[0].decode()
        assert running.returncode == 0, output
        assert output.startswith(expected), output
