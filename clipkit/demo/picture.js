// The picture that is asked about. Its file stays in the browser as a data URL until a question carries it along.
const [drop, input, image, hint, error] = [".demo-drop", "input", "img", ".demo-hint", ".demo-error"].map(
  (name) => element.querySelector(name)
);

function say(line) {
  error.textContent = line;
  error.hidden = !line;
}

function show() {
  const chosen = Boolean(props.value);
  image.hidden = !chosen;
  hint.hidden = chosen;
  if (chosen) image.src = props.value;
  else image.removeAttribute("src");
}

function take(file) {
  if (!file) return;
  if (file.size > props.most * 2 ** 20) return say(`the picture's file is larger than ${props.most} MB: make it smaller`);
  say("");
  const reader = new FileReader();
  reader.onload = () => {
    props.value = reader.result;
    show();
  };
  reader.readAsDataURL(file);
}

image.addEventListener("error", () => {
  image.hidden = true;
  hint.hidden = false;
  hint.textContent = "chosen; this browser can't show its format";
});
image.addEventListener("load", () => { hint.textContent = "Choose a picture, drop it here, or paste one"; });
drop.addEventListener("click", () => input.click());
drop.addEventListener("keydown", (event) => {
  if (event.key === "Enter" || event.key === " ") { event.preventDefault(); input.click(); }
});
input.addEventListener("click", (event) => event.stopPropagation());
input.addEventListener("change", () => { take(input.files[0]); input.value = ""; });
drop.addEventListener("dragover", (event) => event.preventDefault());
drop.addEventListener("drop", (event) => { event.preventDefault(); take(event.dataTransfer.files[0]); });
document.addEventListener("paste", (event) => {
  const file = [...event.clipboardData.files].find((one) => one.type.startsWith("image/"));
  if (file) { event.preventDefault(); take(file); }
});
watch("value", () => { say(""); show(); });
show();
