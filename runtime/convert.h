/* convert.h: tensors of a file under the names of another program (namemap.h), both ways.
 *
 * Only names change; dtypes, shapes and bytes stay. What stands before the last `/` of a name
 * (`grad/`, `state/`) is kept, and so are the names of inputs and outputs. A tensor that has many
 * names there is written under all of them; coming back, they must be equal. Tensors of layers that
 * don't run (Program.unread) are converted as well, unchecked. Tensors without elements that the
 * model doesn't have are left out.
 */
#ifndef RTC_RUNTIME_CONVERT_H
#define RTC_RUNTIME_CONVERT_H

#include "runtime/namemap.h"
#include "runtime/safetensors.h"

typedef VEC(StEntry) ConvertedTensors;

/* from: the file has their names, the result ours; else the other way. Data stay in the file's map.
 * Errors: one message with a table of all tensors that don't fit: names that nothing translates,
 * other shapes than the model's, whole numbers for floats, copies that differ, and, if the file has any parameters under
 * their own names, those that it lacks. */
ConvertedTensors convert_tensors(Diag *d, const NameMap *m, bool from, const StFile *in);

/* The same from file to file, with the metadata. On an error nothing is written. */
void convert_file(Diag *d, const NameMap *m, bool from, const char *in, const char *out);

/* A table of the model's parameters and states, shapes, and their names there. */
void convert_list(const NameMap *m, Str *out);

#endif
