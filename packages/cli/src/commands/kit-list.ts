import { kitView } from "@aegis/protocol/kit";
import { installedKits } from "@aegis/sdk/installed-kits";
import type { Register } from "../command-table.ts";
import { fields } from "../render/table.ts";

export const register: Register = (command, cli) => {
  command.action(() => {
    const kits = installedKits().map(kitView);
    cli.answer(kits, () =>
      kits
        .map((kit) =>
          [
            `${kit.name}: ${kit.summary}`,
            fields(Object.entries(kit.commands).map(([verb, what]) => [verb, what])),
          ].join("\n"),
        )
        .join("\n\n"),
    );
  });
};
