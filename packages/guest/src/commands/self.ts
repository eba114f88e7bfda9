import { fields } from "@aegis/cli/render/table";
import type { GuestRegister } from "./guest-program.ts";

export const register: GuestRegister = (command, cli, api) => {
  command.action(async () => {
    const self = await api.get();
    cli.answer(self, () =>
      fields([
        ["name", self.handle],
        ["id", self.id],
        ["state", self.state],
        ["image", self.image],
        ["parent", self.parent_id],
        ["endpoints", self.endpoints.map(({ url, guest_port }) => `${url} -> ${guest_port}`).join(", ") || null],
        ["capabilities", capabilitiesText(self.capabilities)],
      ]),
    );
  });
};

function capabilitiesText(capabilities: object): string {
  const parts = Object.entries(capabilities).map(([name, value]) => `${name}=${JSON.stringify(value)}`);
  return parts.join(" ");
}
