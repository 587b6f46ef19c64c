// The hashes in the chat page's Content-Security-Policy belong to its inline
// style and script. Run by hand it writes them anew, after a change of the page:
//
//     node ci/lib/page-policy.mjs

import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const page = new URL("../../control/assets/chat.html", import.meta.url);

/** The page with the hashes that its style and script have now. */
export function withCurrentHashes(html) {
  for (const tag of ["script", "style"]) {
    const inline = html.match(new RegExp(`<${tag}>([^]*?)</${tag}>`))[1];
    const hash = createHash("sha256").update(inline).digest("base64");
    html = html.replace(new RegExp(`(${tag}-src) 'sha256-[^']*'`), (_, name) => `${name} 'sha256-${hash}'`);
  }
  return html;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  writeFileSync(page, withCurrentHashes(readFileSync(page, "utf8")));
}
