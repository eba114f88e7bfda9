import { AegisError } from "@aegis/protocol/errors";
import type { Audit } from "./core/audit.ts";
import type { Instance } from "./core/instance.ts";
import type { Instances } from "./core/instances.ts";
import type { PreviewStore } from "./core/preview-record.ts";
import { Previews } from "./core/previews.ts";
import type { ConnectionQuota } from "./ingress/connection-quota.ts";
import { HttpRouter } from "./ingress/http-router.ts";
import type { PublicAddress } from "./http/routes/previews.ts";
import { PreviewAddress } from "./ingress/previews/preview-address.ts";
import { PreviewGate } from "./ingress/previews/preview-gate.ts";
import { PreviewServer } from "./ingress/previews/preview-server.ts";
import type { Settings } from "./settings.ts";

interface State {
  audit: Audit;
  previewStore: PreviewStore;
  /** signs the cookies of previews */
  previewKey: () => Buffer;
}

type RouterSettings = Pick<Settings, "routerPort" | "publicUrl">;

/** Preview links, as the APIs and the router need them. */
export interface PreviewParts {
  previews: Previews;
  address: PreviewAddress;
  publicAddress: PublicAddress;
}

/** What the daemon was started with wins over what it was told later. */
export function openPreviews({ previewStore: store }: State, settings: RouterSettings): PreviewParts {
  const address = new PreviewAddress();
  address.setPublicUrl(settings.publicUrl ?? store.publicUrl());
  const previews = new Previews({ store, urlOf: (token) => address.urlOf(token), now: Date.now });
  return { previews, address, publicAddress: publicAddress(settings, store, address) };
}

function publicAddress({ publicUrl }: RouterSettings, store: PreviewStore, address: PreviewAddress): PublicAddress {
  return {
    get: () => address.publicUrl,
    set(url) {
      if (publicUrl !== null)
        throw new AegisError(
          "invalid_request",
          "The public address is set by AEGIS_PUBLIC_URL. Start the daemon without it to change the address here.",
        );
      address.setPublicUrl(url);
      store.setPublicUrl(url);
    },
  };
}

export interface RouterParts {
  instances: Instances;
  settings: RouterSettings;
  state: State;
  preview: PreviewParts;
  quota: ConnectionQuota;
  log: (message: string) => void;
}

/**
 * A taken router port is no reason to keep the whole daemon down: several homes may run side by side.
 * @returns null when it could not be opened
 */
export async function openRouter(parts: RouterParts, opened: AsyncDisposableStack): Promise<number | null> {
  const { settings, preview, log } = parts;
  const router = new HttpRouter(targetOf(parts), previewServer(parts), parts.quota);
  opened.defer(() => router.close());
  try {
    preview.address.routerPort = await router.listen(settings.routerPort);
  } catch (error) {
    log(
      `the HTTP router is off: port ${settings.routerPort} cannot be opened (${String(error)}). Set AEGIS_ROUTER_PORT to a free one.`,
    );
  }
  return preview.address.routerPort;
}

function previewServer({ instances, state, preview: { previews, address } }: RouterParts): PreviewServer {
  const gate = new PreviewGate({ key: state.previewKey, now: Date.now, open: (preview) => previews.open(preview) });
  const connect = async (instanceId: string, guestPort: number) =>
    instances.find(instanceId).connections.open(guestPort, "http");
  return new PreviewServer({ previews, address, gate, connect });
}

const targetOf = ({ instances, state: { audit } }: RouterParts) => ({
  only: () => onlyHttp(instances),
  connectHttp: (name: string) => connectHttp(instances, name),
  onForeignHost: (host: string, reason: string) =>
    audit.record({ actor: { kind: "daemon" }, action: "router.request", target: host, decision: "refused", reason }),
});

const httpPort = (instance: Instance): number | undefined =>
  instance.endpoints.list().find(({ protocol }) => protocol === "http")?.guest_port;

function onlyHttp(instances: Instances): string | null {
  const [only, second] = instances.list();
  return only !== undefined && second === undefined ? only.id : null;
}

async function connectHttp(instances: Instances, name: string) {
  const instance = instances.find(name);
  const port = httpPort(instance);
  if (port !== undefined) return instance.connections.open(port, "http");
  throw new AegisError(
    "endpoint_not_found",
    `${instance.handle} exposes no HTTP port. Expose one with: aegis instance expose ${instance.handle} 8080`,
  );
}
