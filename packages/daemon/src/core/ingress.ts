import type { EndpointRecord } from "./instance-record.ts";

/** Public ports. They belong to an instance and outlive its pauses, stops and the daemon. */
export interface Ingress {
  /**
   * Listens for the instance. Without a public port a free one is chosen.
   * @throws AegisError `port_taken`
   */
  open(
    instanceId: string,
    endpoint: Omit<EndpointRecord, "publicPort"> & { publicPort: number | null },
  ): Promise<number>;
  close(publicPort: number): Promise<void>;
}
