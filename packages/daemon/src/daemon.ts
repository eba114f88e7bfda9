import type { DaemonStatus } from "@aegis/protocol/status";
import type { WarmImage } from "@aegis/protocol/warm-image";
import { StreamHarness } from "./control/stream-harness.ts";
import { DiskWatch, refuseFullDisk } from "./core/disk-watch.ts";
import type { DiskGauge } from "./core/disk-watch.ts";
import type { Driver } from "./core/driver.ts";
import type { Audit, AuditLog } from "./core/audit.ts";
import { BoundedAudit } from "./core/bounded-audit.ts";
import { BindingBook } from "./core/binding-book.ts";
import { EventLog } from "./core/event-log.ts";
import type { ImageImporter, Images } from "./core/images.ts";
import { rotateKey } from "./core/key-rotation.ts";
import type { Logs } from "./core/logs.ts";
import type { PreviewStore } from "./core/preview-record.ts";
import type { Store } from "./core/store.ts";
import { Instances } from "./core/instances.ts";
import { networkRefusals } from "./core/network-refusals.ts";
import { warmImage } from "./core/warm-image.ts";
import { UsageLedger } from "./core/usage-ledger.ts";
import { BindingProxy } from "./egress/binding-proxy.ts";
import { GuestApi } from "./http/guest-api.ts";
import { serveHostApi } from "./http/host-api.ts";
import type { HostApi } from "./http/host-api.ts";
import { descriptorLimit } from "./descriptor-limit.ts";
import type { Home, Owner } from "./home.ts";
import { ConnectionQuota, quotaFor } from "./ingress/connection-quota.ts";
import { PublicPorts } from "./ingress/public-ports.ts";
import type { ConnectTarget } from "./ingress/public-ports.ts";
import { openPreviews, openRouter } from "./router.ts";
import type { PreviewParts } from "./router.ts";
import { JwtIssuer } from "./secrets/jwt-issuer.ts";
import { Keyring } from "./secrets/keyring.ts";
import { SecretVault } from "./secrets/secret-vault.ts";
import type { Settings } from "./settings.ts";
import { AuditFiles } from "./store/audit-files.ts";
import { openDatabase } from "./store/database.ts";
import { kitsIn } from "./store/kit-folders.ts";
import { LogFiles } from "./store/log-files.ts";
import { PreviewTable } from "./store/preview-table.ts";
import { SqliteStore } from "./store/sqlite-store.ts";
import { UsageTable } from "./store/usage-table.ts";
import { FolderFiles } from "./store/workspace/folder-files.ts";
import { WorkspaceFolders } from "./store/workspace-folders.ts";

const VERSION = "0.1.0";

export interface DaemonParts {
  home: Home;
  owner: Owner;
  settings: Settings;
  driver: Driver;
  /** why it is that one */
  driverReason: string;
  images: Images & ImageImporter;
  gauge: DiskGauge;
  log: (message: string) => void;
  /** called once the daemon has ended because a client asked for it */
  onShutdown: () => void;
}

export interface Daemon {
  /** Ends the daemon. Instances go on running unless they are to stop. */
  close(stopInstances: boolean): Promise<void>;
}

/** Wires a daemon together and starts it. When a step fails, what was opened before is closed. */
export async function startDaemon(parts: DaemonParts): Promise<Daemon> {
  const { home, settings, driver, images, log } = parts;
  await using opened = new AsyncDisposableStack();
  const state = openState(parts, opened);
  const preview = openPreviews(state, settings);
  const quota = new ConnectionQuota(quotaFor(descriptorLimit()), log);
  const { instances, guestApi, files } = makeInstances(
    parts,
    { ...state, ...preview, quota },
    await driver.hostBoot(),
    opened,
  );
  await guestApi.ready();
  await driver.start(networkRefusals({ ...state, handleOf: (id) => instances.peek(id)?.handle }));
  opened.defer(() => driver.close());
  await instances.reconcile();
  const disk = new DiskWatch({ gauge: parts.gauge, limits: settings.disk, images, events: state.events, warn: log });
  opened.defer(() => disk.stop());
  disk.start();
  const routerPort = await openRouter({ instances, settings, state, preview, quota, log }, opened);
  const close = closer(opened.move(), instances);
  const startedAt = Date.now();
  const daemon = {
    status: (): DaemonStatus => ({
      status: "running",
      version: VERSION,
      backend: driver.name,
      backend_reason: parts.driverReason,
      capabilities: { ...driver.features },
      pid: process.pid,
      home: home.root,
      uptime_s: Math.round((Date.now() - startedAt) / 1000),
      instances: countStates(instances),
      router_port: routerPort,
      default_image: settings.defaultImage,
      audit: state.auditLog.health(),
      disk: disk.status(),
    }),
    kits: () => kitsIn(settings.kitsDir, log),
    shutdown: (stopInstances: boolean) => void close.run(stopInstances).then(parts.onShutdown),
  };
  const rotate = () =>
    rotateKey({
      reseal: () => state.secrets.rotateKey(),
      rekeyTokens: () => state.tokens.rekey(state.keyring.key.derive("tokens")),
      instances,
      warn: log,
    });
  const warm = (wanted: WarmImage, signal: AbortSignal) => warmImage({ driver, images }, wanted, signal);
  const deps = { ...state, ...preview, rotateKey: rotate, instances, images, warm, files, daemon, warn: log };
  close.api = await serveHostApi(deps, home.socket, parts.owner).catch(async (error: unknown) => {
    await close.run(false);
    throw error;
  });
  return { close: (stopInstances) => close.run(stopInstances) };
}

interface State {
  store: Store;
  audit: Audit;
  auditLog: AuditLog;
  events: EventLog;
  keyring: Keyring;
  tokens: JwtIssuer;
  secrets: SecretVault;
  usage: UsageLedger;
  logs: Logs;
  previewStore: PreviewStore;
  previewKey: () => Buffer;
  snapshotKey: () => Buffer;
}

/** What is on disk. Taking the lock of the home comes first. */
function openState({ home, owner, log }: DaemonParts, opened: AsyncDisposableStack): State {
  const database = openDatabase(home.database, owner);
  const store = new SqliteStore(database);
  opened.defer(() => store.close());
  const events = new EventLog(store, log);
  const auditLog = new AuditFiles({ folder: home.audit, owner, warn: log });
  opened.defer(() => auditLog.close());
  const audit = new BoundedAudit(auditLog);
  opened.defer(() => audit.flush());
  audit.record({
    actor: { kind: "daemon" },
    action: "daemon.start",
    target: "aegisd",
    decision: "allowed",
    reason: null,
  });
  const keyring = new Keyring(home.masterKey, owner, database);
  const tokens = new JwtIssuer(keyring.key.derive("tokens"));
  const secrets = new SecretVault(database, keyring, events);
  const usage = new UsageLedger(new UsageTable(database), log);
  opened.defer(() => usage.save());
  const logs = new LogFiles(home.instances, log);
  opened.defer(() => logs.flush());
  const previewStore = new PreviewTable(database);
  const previewKey = () => keyring.key.derive("previews");
  const snapshotKey = () => keyring.key.derive("snapshots");
  return {
    store,
    audit,
    auditLog,
    events,
    keyring,
    tokens,
    secrets,
    usage,
    logs,
    previewStore,
    previewKey,
    snapshotKey,
  };
}

/** The instances with all that comes to them from outside and from inside. */
function makeInstances(
  { home, owner, settings, driver, images, gauge, log }: DaemonParts,
  {
    store,
    audit,
    events,
    tokens,
    secrets,
    usage,
    logs,
    snapshotKey,
    previews,
    quota,
  }: State & PreviewParts & { quota: ConnectionQuota },
  hostBoot: string,
  opened: AsyncDisposableStack,
): { instances: Instances; guestApi: GuestApi; files: FolderFiles } {
  const connect: ConnectTarget["connect"] = (instanceId, { guestPort, protocol }, knock) =>
    instances.find(instanceId).connections.open(guestPort, protocol, knock);
  const ingress = new PublicPorts({ connect }, quota);
  opened.defer(() => ingress.closeAll());
  const workspaces = new WorkspaceFolders(home.workspaces, owner, [home.root, home.images]);
  const files = new FolderFiles(workspaces, home.workspaces, owner);
  const book = new BindingBook(usage, (id) => instances.peek(id)?.record);
  const bindings = new BindingProxy({ secrets, book, audit });
  opened.defer(() => bindings.close());
  const instances: Instances = new Instances(
    {
      store,
      events,
      audit,
      secrets,
      logs,
      ingress,
      bindings: book,
      driver,
      hostBoot,
      images,
      harness: new StreamHarness(),
      workspaces,
      tokens,
      snapshotKey,
      onReverseStream: (instance, request, stream) => {
        if (request.kind === "guest_api") return guestApi.accept(stream, instance);
        const known = instance.record.spec.bindings.some(({ name }) => name === request.binding);
        if (!known) stream.destroy();
        else bindings.accept(stream, instance, request.binding);
      },
      warn: log,
    },
    {
      defaults: { imageRef: settings.defaultImage, driver: driver.name },
      refuseWhenFull: () => refuseFullDisk(gauge.space()),
    },
  );
  const guestApi = new GuestApi({ instances, logs, events, audit, files, previews, warn: log });
  return { instances, guestApi, files };
}

interface Closer {
  api: HostApi | null;
  run(stopInstances: boolean): Promise<void>;
}

function closer(opened: AsyncDisposableStack, instances: Instances): Closer {
  let closing: Promise<void> | null = null;
  return {
    api: null,
    run(stopInstances) {
      closing ??= (async () => {
        if (stopInstances) await instances.stopAll("aegisd is going down");
        await this.api?.close();
        await instances.forgetAll();
        await opened.disposeAsync();
      })();
      return closing;
    },
  };
}

function countStates(instances: Instances): DaemonStatus["instances"] {
  const counts = { running: 0, starting: 0, paused: 0, hibernated: 0, stopped: 0, failed: 0 };
  for (const { state } of instances.list()) counts[state] += 1;
  return counts;
}
