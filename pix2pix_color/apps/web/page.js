// Gradio takes files only in the upload area; this takes them anywhere on the page.
(() => {
  const upload = (files, tries) => {
    const areas = [...document.querySelectorAll("#photograph, #photographs")];
    const area = areas.find((one) => one.offsetParent);  // that of the open tab
    if (!area || !files.length || !tries) return;
    const input = area.querySelector("input[type=file]");
    if (!input) {  // it shows a file: remove that, and retry when the area is back
      area.querySelector(".icon-button-wrapper button")?.click();
      setTimeout(() => upload(files, tries - 1), 50);
      return;
    }
    const transfer = new DataTransfer();
    files.slice(0, input.multiple ? files.length : 1).forEach((f) => transfer.items.add(f));
    input.files = transfer.files;
    input.dispatchEvent(new Event("change", { bubbles: true }));
  };
  const take = (event, data) => {
    if (event.defaultPrevented || !data?.files.length) return;
    event.preventDefault();
    upload([...data.files], 40);
  };
  document.addEventListener("paste", (event) => take(event, event.clipboardData));
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => take(event, event.dataTransfer));
})();
