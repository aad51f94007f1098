// The page: loads the model, classifies a dropped, pasted or chosen photo or what the camera sees, shows the labels.

import { readFile, readFrame } from "./image.js";
import { isNone, prepare, toScores } from "./pixels.js";

const RUNTIME = "ort.wasm.bundle.min.mjs";
const PLACES = ["./runtime/", "https://cdn.jsdelivr.net/npm/onnxruntime-web@1.30.0/dist/"]; // the first that has it
const TOP = 5, NAME = 60, PAUSE = 150; // labels; characters of a file's name; ms between frames of the camera

const part = (id) => document.getElementById(id);
const cut = (text) => (text.length > NAME ? `${text.slice(0, NAME)}…` : text);
let about, ort, session, camera = null, turn = Promise.resolve(), newest = 0;

function say(text, wrong = false) {
  part("status").textContent = text;
  part("status").classList.toggle("wrong", wrong);
  if (wrong) part("results").replaceChildren();
}

async function importRuntime() {
  for (const place of PLACES) {
    try {
      return await import(new URL(place + RUNTIME, document.baseURI));
    } catch (error) {
      console.info(`${place}${RUNTIME}: ${error.message}`);
    }
  }
  throw new Error("onnxruntime-web could not be loaded; without a network put it into the folder runtime, see README.md");
}

async function getFile(name) {
  const answer = await fetch(name);
  if (!answer.ok) throw new Error(`${name}: the server answered ${answer.status}`);
  return answer;
}

async function getGraph() {
  const answer = await getFile("onnx/model.onnx"), size = Number(answer.headers.get("content-length"));
  if (size) say(`Loading the model, ${(size / 1e6).toFixed(1)} MB …`);
  return new Uint8Array(await answer.arrayBuffer());
}

async function load() {
  about = await (await getFile("preprocessing.json")).json();
  const title = about.model || "Image classifier";
  [document.title, part("name").textContent, part("name").title] = [title, title, title];
  const count = about.labels.length, labels = `${count.toLocaleString("en")} label${count === 1 ? "" : "s"}`;
  part("about").textContent = `${labels}. The image stays in this browser: it is sent nowhere.`;
  say("Loading the model …");
  ort = await importRuntime();
  ort.env.wasm.numThreads = 1; // more need headers that plain servers do not send
  ort.env.logLevel = "error";
  session = await ort.InferenceSession.create(await getGraph(), { executionProviders: ["wasm"] });
  part("choose").disabled = false;
  part("camera").disabled = !navigator.mediaDevices?.getUserMedia;
  if (part("camera").disabled) part("camera").title = "A camera needs https or localhost";
  say("Ready.");
}

/** Logits of an image {data: RGB, width, height}; one after another, since a session runs one at a time. */
function run(image) {
  const next = turn.then(async () => {
    const pixels = new ort.Tensor("float32", prepare(image, about), [1, 3, about.height, about.width]);
    const { [about.output]: logits } = await session.run({ [about.input]: pixels });
    return Array.from(logits.data);
  });
  turn = next.catch(() => {});
  return next;
}

/** The rows to show: [label, score or null, class]; as hf-imgcls demo. */
function answer(logits) {
  const scores = toScores(logits, about.activation);
  if (!scores.every(Number.isFinite)) throw new Error("the model's scores are not numbers");
  const order = [...scores.keys()].sort((one, other) => scores[other] - scores[one] || one - other);
  const row = (kind) => (i) => [about.labels[i], scores[i], kind];
  if (about.thresholds) {
    const chosen = order.filter((i) => scores[i] >= about.thresholds[i]);
    if (chosen.length) return chosen.map(row(""));
    return [["none of the labels", null, "none"], ...order.slice(0, TOP).map(row("below"))];
  }
  if (!isNone(logits, about.none_of_these)) return order.slice(0, TOP).map(row(""));
  return [["none of these", null, "none"], ...order.slice(0, TOP - 1).map(row("below"))];
}

function element(name, kind, text = "") {
  return Object.assign(document.createElement(name), { className: kind, textContent: text });
}

function show(rows) {
  const probabilities = about.activation !== "none";
  part("results").replaceChildren(...rows.map(([label, score, kind]) => {
    const item = element("li", kind), bar = element("div", ""), track = element("div", "track");
    const shown = score === null ? "" : probabilities ? `${(100 * score).toFixed(1)} %` : score.toFixed(3);
    item.append(Object.assign(element("span", "label", label), { title: label }), element("span", "score", shown));
    if (score !== null) item.dataset.score = score;
    bar.style.width = `${100 * score}%`;
    track.append(bar);
    if (score !== null && probabilities) item.append(track);
    return item;
  }));
}

function draw({ data, width, height }) {
  const shrink = Math.min(1, 1024 / Math.max(width, height));
  const canvas = part("seen");
  [canvas.width, canvas.height] = [width, height].map((side) => Math.max(1, Math.round(side * shrink)));
  const shown = new ImageData(canvas.width, canvas.height);
  for (let y = 0, out = 0; y < canvas.height; y++) {
    for (let x = 0; x < canvas.width; x++, out += 4) {
      const from = 3 * (Math.floor(y / canvas.height * height) * width + Math.floor(x / canvas.width * width));
      shown.data.set([data[from], data[from + 1], data[from + 2], 255], out);
    }
  }
  canvas.getContext("2d").putImageData(shown, 0, 0);
  [canvas.hidden, part("hint").hidden, part("video").hidden] = [false, true, true];
}

async function classify(file) {
  stopCamera();
  const mine = ++newest, name = cut(file.name || "the image");
  say(`${name}: classifying …`);
  try {
    const image = await readFile(file);
    if (mine !== newest) return;
    draw(image);
    const logits = await run(image);
    if (mine !== newest) return;
    show(answer(logits));
    say(name);
  } catch (error) {
    if (mine === newest) say(`${name}: ${error.message}`, true);
  }
}

function stopCamera() {
  for (const track of camera?.getTracks() ?? []) track.stop();
  camera = null;
  part("camera").textContent = "Camera";
}

async function toggleCamera() {
  if (camera) {
    newest++;
    stopCamera();
    say("The camera is off.");
    return;
  }
  const mine = ++newest, video = part("video");
  try {
    const stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
    if (mine !== newest) return stream.getTracks().forEach((track) => track.stop());
    camera = video.srcObject = stream;
    await video.play();
    [video.hidden, part("seen").hidden, part("hint").hidden] = [false, true, true];
    part("camera").textContent = "Stop the camera";
    say("What the camera sees:");
    while (mine === newest) {
      const logits = await run(readFrame(video, video.videoWidth, video.videoHeight));
      if (mine === newest) show(answer(logits));
      await new Promise((done) => setTimeout(done, PAUSE));
    }
  } catch (error) {
    if (mine !== newest) return; // it was stopped meanwhile
    stopCamera();
    say(`The camera: ${error.message}`, true);
  }
}

function take(files) {
  if (session && files.length) classify(files[0]);
  else if (session) say("That was no file; drop an image file.", true);
}

part("choose").onclick = () => part("file").click();
part("file").onchange = ({ target }) => {
  take(target.files);
  target.value = ""; // the same file may be chosen again
};
part("camera").onclick = toggleCamera;
document.addEventListener("paste", ({ clipboardData }) => clipboardData.files.length && take(clipboardData.files));
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  part("drop").classList.add("over");
});
document.addEventListener("dragleave", () => part("drop").classList.remove("over"));
document.addEventListener("drop", (event) => {
  event.preventDefault(); // else the browser would open the file in place of the page
  part("drop").classList.remove("over");
  take(event.dataTransfer.files);
});

load().catch((error) => say(`The model could not be loaded: ${error.message}`, true));
