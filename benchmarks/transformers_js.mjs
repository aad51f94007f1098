// Whether transformers.js predicts with an export for browsers as the model does, and by how much it differs.
//
//     hf-imgcls export RUN --format web --output FOLDER
//     hf-imgcls predict RUN PHOTOS --top-k LABELS --output predictions.jsonl
//     node benchmarks/transformers_js.mjs FOLDER predictions.jsonl [q8]
//
// where `npm install @huggingface/transformers` was run. Without a dtype it is the folder's own choice, fp32. LABELS is the
// number of the model's labels.

import fs from "fs";
import { createRequire } from "module";
import path from "path";

const [folder, predictions, dtype] = process.argv.slice(2);
const { env, pipeline } = createRequire(path.resolve("x.js"))("@huggingface/transformers");
env.allowRemoteModels = false;
env.localModelPath = `${path.dirname(path.resolve(folder))}/`;
const classify = await pipeline("image-classification", path.basename(path.resolve(folder)), dtype ? { dtype } : {});

const rows = fs.readFileSync(predictions, "utf8").trim().split("\n").map(JSON.parse).filter((row) => !row.error);
const differences = [];
let agreed = 0;
for (const row of rows) {
  const found = Object.fromEntries((await classify(row.image, { top_k: null })).map((each) => [each.label, each.score]));
  const best = Object.keys(found).reduce((one, other) => (found[other] > found[one] ? other : one));
  agreed += best === row.label_1;
  let largest = 0;
  for (let i = 1; `label_${i}` in row; i++) largest = Math.max(largest, Math.abs(found[row[`label_${i}`]] - row[`score_${i}`]));
  differences.push(largest);
}
differences.sort((one, other) => one - other);
const [median, most] = [differences[differences.length >> 1], differences[differences.length - 1]];
console.log(
  `${folder}${dtype ? ` ${dtype}` : ""}: the model's label on ${agreed} of ${rows.length} images; largest difference of a ` +
    `probability ${most.toExponential(1)}, of an image's largest the median ${median.toExponential(1)}`,
);
