import type { Register } from "../command-table.ts";

export const register: Register = (command, cli) => {
  command
    .argument("[url]", "as in https://*.preview.example.org or https://bot.example.org; `none`: this machine only")
    .action(async (url: string | undefined) => {
      if (url !== undefined) await cli.client.previews.setPublicUrl(url === "none" ? null : url);
      const set = await cli.client.previews.publicUrl();
      cli.answer({ url: set }, () => set ?? "none: preview links work on this machine only");
    });
};
