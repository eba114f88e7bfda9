import type { Reference } from "../core/image-reference.ts";

/** One place to pull from. */
export interface RegistrySource {
  /** for people */
  name: string;
  /** `docker://host/path` without tag and digest */
  location: string;
  verifyTls: boolean;
}

export interface RegistrySettings {
  /** by registry, tried in order before the registry itself: `{"docker.io": ["http://127.0.0.1:5000"]}` */
  mirrors: Readonly<Record<string, readonly string[]>>;
  /** registries without (valid) TLS; those on loopback need no mention */
  insecureRegistries: readonly string[];
}

/** The mirrors in their order, then the registry itself. */
export function registrySources(reference: Reference, settings: RegistrySettings): RegistrySource[] {
  const { registry, repository } = reference;
  const mirrors = settings.mirrors[registry] ?? [];
  return [
    ...mirrors.map((url) => mirrorSource(url, repository)),
    {
      name: registry,
      location: `docker://${registry}/${repository}`,
      verifyTls: !isLoopback(registry) && !settings.insecureRegistries.includes(registry),
    },
  ];
}

function mirrorSource(url: string, repository: string): RegistrySource {
  const place = url.replace(/^https?:\/\//, "").replace(/\/+$/, "");
  return {
    name: `mirror ${place}`,
    location: `docker://${place}/${repository}`,
    verifyTls: !url.startsWith("http://"),
  };
}

export const isLoopback = (registry: string): boolean =>
  /^(?:localhost|127\.\d{1,3}\.\d{1,3}\.\d{1,3}|\[::1\])(?::\d+)?$/.test(registry);
