package fleet

import (
	"context"
	"errors"
)

func openS3Store(context.Context, string, StoreOptions) (Store, error) {
	return nil, errors.ErrUnsupported
}
