// Whether transformers.js predicts with an export for browsers as the model does, and by how much it differs: by its
// pipeline, and on pixels that the export's pixels.js prepares.
//
//     hf-imgcls export RUN --format web --output FOLDER
//     hf-imgcls predict RUN PHOTOS --top-k LABELS --output predictions.jsonl
//     npm install @huggingface/transformers
//     node benchmarks/transformers_js.mjs FOLDER predictions.jsonl [q8]
//
// LABELS is the number of the model's labels. Without a dtype it is the folder's own choice, fp32.

import fs from "fs";
import { createRequire } from "module";
import path from "path";

const [given, predictions, dtype] = process.argv.slice(2);
const folder = path.resolve(given);
const { env, pipeline, RawImage, Tensor } = createRequire(path.resolve("x.js"))("@huggingface/transformers");
env.allowRemoteModels = false;
env.localModelPath = `${path.dirname(folder)}/`;
const classify = await pipeline("image-classification", path.basename(folder), dtype ? { dtype } : {});
const code = fs.readFileSync(path.join(folder, "pixels.js"), "utf8");
const { prepare, toScores } = await import(`data:text/javascript,${encodeURIComponent(code)}`);
const about = JSON.parse(fs.readFileSync(path.join(folder, "preprocessing.json"), "utf8"));

const sides = {
  "its pipeline": async (image) => {
    const found = await classify(image, { top_k: about.labels.length });
    return Object.fromEntries(found.map(({ label, score }) => [label, score]));
  },
  "its model, on pixels by pixels.js": async (image) => {
    const pixels = new Tensor("float32", prepare(image, about), [1, 3, about.height, about.width]);
    const { logits } = await classify.model({ pixel_values: pixels });
    const scores = toScores(logits.data, about.activation);
    return Object.fromEntries(about.labels.map((label, i) => [label, scores[i]]));
  },
};

const rows = fs.readFileSync(predictions, "utf8").trim().split("\n").map((line) => JSON.parse(line));
for (const [side, predict] of Object.entries(sides)) {
  const differences = [];
  let agreed = 0;
  for (const row of rows) {
    const found = await predict((await RawImage.read(row.image)).rgb());
    agreed += row.label_1 === Object.keys(found).reduce((one, other) => (found[other] > found[one] ? other : one));
    const each = about.labels.map((_, i) => Math.abs(found[row[`label_${i + 1}`]] - row[`score_${i + 1}`]));
    differences.push(Math.max(...each));
  }
  differences.sort((one, other) => one - other);
  const [median, most] = [differences[differences.length >> 1], differences.at(-1)].map((each) => each.toExponential(1));
  console.log(
    `${side}${dtype ? `, ${dtype}` : ""}: the model's label on ${agreed} of ${rows.length} images; largest difference of ` +
      `a probability ${most}, median of the images' largest ${median}`,
  );
}
