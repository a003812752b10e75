/* Writes an NDB with rpm's own code: lib/backend/ndb/rpmpkg.c of its source.
 *
 *     ndb FILE put NUMBER HEADER | ndb FILE del NUMBER | ndb FILE verify
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rpmpkg.h"

int main(int argc, char **argv)
{
	static unsigned char header[1 << 20];
	rpmpkgdb db;
	FILE *f;
	int err = 1;

	if (argc < 3 || rpmpkgOpen(&db, argv[1], O_RDWR | O_CREAT, 0644))
		return 1;
	if (!strcmp(argv[2], "verify")) {
		err = rpmpkgVerify(db);
	} else if (!strcmp(argv[2], "del") && argc == 4) {
		err = rpmpkgDel(db, atoi(argv[3]));
	} else if (!strcmp(argv[2], "put") && argc == 5 && (f = fopen(argv[4], "rb"))) {
		err = rpmpkgPut(db, atoi(argv[3]), header, fread(header, 1, sizeof header, f));
		fclose(f);
	}
	rpmpkgClose(db);
	return err;
}
