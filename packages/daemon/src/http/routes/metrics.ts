import type { InstanceView } from "@aegis/protocol/instance";
import type { Instances } from "../../core/instances.ts";
import type { TransitionCounts } from "../../core/transition-counts.ts";
import type { App } from "../app.ts";

const STATES = [
  "starting",
  "running",
  "paused",
  "hibernated",
  "stopped",
  "failed",
] as const satisfies InstanceView["state"][];

/** `GET /metrics` in Prometheus' text format: little enough to write it ourselves. */
export function metricsRoute(app: App, instances: Instances, counts: TransitionCounts): void {
  app.get("/metrics", async (_request, reply) => {
    const views = await Promise.all(instances.list().map((instance) => instance.inspect()));
    const metrics = [...ofDaemon(), ...ofCounts(counts), ...ofInstances(views)];
    return reply.type("text/plain; version=0.0.4; charset=utf-8").send(`${metrics.map(toText).join("\n")}\n`);
  });
}

interface Metric {
  name: string;
  help: string;
  type: "gauge" | "counter";
  values: { labels?: Record<string, string>; value: number }[];
}

const ofDaemon = (): Metric[] => [
  gauge("aegis_daemon_resident_memory_bytes", "memory of aegisd itself", [{ value: process.memoryUsage.rss() }]),
  gauge("aegis_daemon_uptime_seconds", "since aegisd started", [{ value: Math.round(process.uptime()) }]),
];

const ofCounts = (counts: TransitionCounts): Metric[] =>
  Object.entries(counts.list()).map(([name, value]) => ({
    name: `aegis_instance_${name}_total`,
    help: `${name.replaceAll("_", " ")} of instances since aegisd started`,
    type: "counter",
    values: [{ value }],
  }));

function ofInstances(views: InstanceView[]): Metric[] {
  const live = views.flatMap(({ handle, stats, active_connections }) =>
    stats === null ? [] : [{ labels: { instance: handle }, stats, active_connections }],
  );
  const each = (of: (one: (typeof live)[number]) => number) =>
    live.map((one) => ({ labels: one.labels, value: of(one) }));
  return [
    gauge(
      "aegis_instances",
      "instances by state",
      STATES.map((state) => ({ labels: { state }, value: views.filter((one) => one.state === state).length })),
    ),
    gauge(
      "aegis_instance_memory_bytes",
      "memory in RAM",
      each(({ stats }) => stats.memory_bytes),
    ),
    gauge(
      "aegis_instance_swapped_bytes",
      "memory swapped out",
      each(({ stats }) => stats.swapped_bytes),
    ),
    gauge(
      "aegis_instance_processes",
      "processes",
      each(({ stats }) => stats.processes),
    ),
    gauge(
      "aegis_instance_connections",
      "open connections",
      each(({ active_connections }) => active_connections),
    ),
    {
      name: "aegis_instance_cpu_seconds_total",
      help: "CPU time",
      type: "counter",
      values: each(({ stats }) => stats.cpu_ms / 1000),
    },
  ];
}

const gauge = (name: string, help: string, values: Metric["values"]): Metric => ({ name, help, type: "gauge", values });

function toText({ name, help, type, values }: Metric): string {
  const lines = values.map(({ labels = {}, value }) => `${name}${labelText(labels)} ${value}`);
  return [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`, ...lines].join("\n");
}

/** Names of instances need no quoting. */
function labelText(labels: Record<string, string>): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${value}"`);
  return pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
}
