import type { GuestRegister } from "./guest-program.ts";

export const register: GuestRegister = (command, cli, self) => {
  command.action(async () => {
    await self.restart();
    cli.answer({ done: "restart" }, () => "restarting");
  });
};
