! SPDX-FileCopyrightText: The ddict authors
! SPDX-License-Identifier: Apache-2.0
!
! A client in Fortran: text, numbers, an array, a counter, an error that is looked at.
!
!   ddict-launch -- ./fortran_client
program fortran_client
    use, intrinsic :: iso_fortran_env, only: int64, real64
    use ddict
    implicit none
    type(dictionary) :: dict
    character(20) :: name
    character(200) :: message
    real(real64) :: field(2, 3), copy(2, 3)
    real(real64), allocatable :: found(:, :)
    integer(int64) :: visits
    integer :: code, i

    call dict%attach()  ! the dictionary of ddict-launch

    call dict%put("Hello", "Dragon")
    call dict%get("Hello", name)
    print "(a)", trim(name)

    field = reshape([(real(i, real64), i = 1, 6)], [2, 3])
    call dict%put("field", field)
    call dict%get("field", copy)               ! of the same shape
    call dict%get_allocatable("field", found)  ! of whatever shape it has
    print "(i0, a, i0, a, f0.1)", size(found, 1), " x ", size(found, 2), ", the last is ", copy(2, 3)

    call dict%put(42, 3.14159_real64)  ! a key may be a number
    call dict%add("visits", 1_int64, before=visits)
    print "(i0, a)", visits, " visits before this one"

    call dict%get("nobody", name, stat=code, errmsg=message)
    if (code == ddict_not_found) print "(a)", "nobody is not there"

    call dict%detach()
end program
