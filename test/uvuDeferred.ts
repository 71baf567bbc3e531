/** Imported before uvu: the harness says when suites run. */
declare global {
  var UVU_DEFER: number | undefined;
  var UVU_QUEUE: unknown[][] | undefined;
}

/** Whether uvu's own command line runs the files, which then says when. */
export const underUvuCommand = process.argv.some((argument) => /(\.bin[/\\]uvu|uvu[/\\]bin\.js)$/i.test(argument));

if (!underUvuCommand) globalThis.UVU_DEFER = 1;
