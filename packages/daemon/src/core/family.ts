import type { Capabilities } from "@aegis/protocol/capability";
import { meet, oneLevelDown } from "./effective-grant.ts";
import type { InstanceRecord } from "./instance-record.ts";
import { isInParent, workspaceWithin } from "./workspaces.ts";

export interface Member {
  readonly id: string;
  readonly record: Readonly<InstanceRecord>;
}

/** Who descends from whom, and what follows from that for what each may do. */
export class Family<M extends Member> {
  readonly #byId: ReadonlyMap<string, M>;

  constructor(byId: ReadonlyMap<string, M>) {
    this.#byId = byId;
  }

  childrenOf({ id }: Member): M[] {
    return [...this.#byId.values()].filter(({ record }) => record.parentId === id);
  }

  /** Everything below, parents before their children. */
  below(member: Member): M[] {
    const found = this.childrenOf(member);
    for (const next of found) found.push(...this.childrenOf(next));
    return found;
  }

  /** The nearest first. */
  ancestorsOf(member: Member): M[] {
    const found: M[] = [];
    for (let { parentId } = member.record; parentId !== null;) {
      const parent = this.#byId.get(parentId);
      if (parent === undefined) break;
      found.push(parent);
      ({ parentId } = parent.record);
    }
    return found;
  }

  /**
   * What the instance may do now: its own grant, as far as every grant above it goes today. A grant that shrinks takes
   * from all below at once, without anything being changed there.
   */
  rightsOf(member: Member): Capabilities {
    const above = this.limitsOn(member);
    return above === null ? member.record.grant : meet(member.record.grant, oneLevelDown(above));
  }

  /** What the instance may be: its parent's rights. Null where only the host's word counts. */
  limitsOn({ record }: Member): Capabilities | null {
    if (record.parentId === null) return null;
    const parent = this.#byId.get(record.parentId);
    // deleted, and its children are about to be
    return parent === undefined ? {} : this.rightsOf(parent);
  }

  /** What the spec's workspace means here. @throws AegisError `invalid_path` for a folder in a workspace that there is not */
  workspaceOf({ record }: Pick<Member, "record">): string | null {
    const { workspace } = record.spec;
    if (workspace === null || !isInParent(workspace)) return workspace;
    const parent = record.parentId === null ? undefined : this.#byId.get(record.parentId);
    return workspaceWithin(parent === undefined ? null : this.workspaceOf(parent), workspace);
  }

  /** When the instance has to end at the latest, in ms since the epoch: with the first of those above it. Null: never. */
  expiryOf(member: Member): number | null {
    const ends = [member, ...this.ancestorsOf(member)].flatMap(({ record }) => ownExpiry(record) ?? []);
    return ends.length === 0 ? null : Math.min(...ends);
  }
}

const ownExpiry = ({ createdAt, spec }: Readonly<InstanceRecord>): number | null =>
  spec.lifetime_s === null ? null : Date.parse(createdAt) + spec.lifetime_s * 1000;
