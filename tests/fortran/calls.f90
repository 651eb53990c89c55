! SPDX-FileCopyrightText: The ddict authors
! SPDX-License-Identifier: Apache-2.0
!
! usage: fortran_calls             every call, and what each says when it fails
!        fortran_calls without     an error without stat=, which ends the program
program fortran_calls
    use, intrinsic :: iso_c_binding
    use, intrinsic :: iso_fortran_env, only: int32, int64, real32, real64
    use ddict
    implicit none

    interface
        function c_code_name(code) bind(c, name="ddict_code_name") result(name)
            import
            integer(c_int), value :: code
            type(c_ptr) :: name
        end function
    end interface

    type(dictionary) :: dict, nobody
    character(300) :: message
    character(10) :: mode
    integer :: code

    call get_command_argument(1, mode)
    call dict%attach(timeout=20.0_real64)
    if (mode == "without") then
        call dict%get("nobody", code)
        error stop "fortran_calls: goes on after an error"
    end if
    call check(dict%is_attached() .and. .not. nobody%is_attached(), "is_attached")
    call names_of_codes()
    call keys()
    call texts()
    call shapes()
    call sections()
    call others()
    call times_to_live()
    call failures()
    call dict%detach()
    call check(.not. dict%is_attached(), "detach")
    call dict%put("x", 1, stat=code)
    call check(code == ddict_invalid_argument, "a call without a dictionary")
    print "(a)", "all calls"

contains

    subroutine check(good, what)
        logical, intent(in) :: good
        character(*), intent(in) :: what
        if (.not. good) error stop "fortran_calls: wrong: " // what
    end subroutine

    subroutine check_name(code, name)
        integer, intent(in) :: code
        character(*), intent(in) :: name
        character(kind=c_char), pointer :: found(:)
        integer :: i
        call c_f_pointer(c_code_name(code), found, [len(name) + 1])
        do i = 1, len(name)
            call check(found(i) == name(i:i), "code " // name)
        end do
        call check(found(len(name) + 1) == c_null_char, "code " // name)
    end subroutine

    subroutine names_of_codes()
        call check_name(ddict_not_found, "not_found")
        call check_name(ddict_no_space, "no_space")
        call check_name(ddict_too_large, "too_large")
        call check_name(ddict_invalid_argument, "invalid_argument")
        call check_name(ddict_wrong_type, "wrong_type")
        call check_name(ddict_timeout, "timeout")
        call check_name(ddict_manager_lost, "manager_lost")
        call check_name(ddict_dictionary_gone, "dictionary_gone")
        call check_name(ddict_not_attached, "not_attached")
        call check_name(ddict_bad_handle, "bad_handle")
        call check_name(ddict_incompatible, "incompatible")
        call check_name(ddict_access_denied, "access_denied")
        call check_name(ddict_protocol, "protocol")
        call check_name(ddict_system, "system")
        call check_name(ddict_frozen, "frozen")
        call check_name(ddict_busy, "busy")
        call check_name(ddict_checkpoint_retired, "checkpoint_retired")
    end subroutine

    subroutine keys()
        integer :: found
        character(20) :: padded
        padded = "padded"
        call dict%put(padded, 5)
        call dict%get("padded", found)
        call check(found == 5, "trailing blanks of a key do not count")
        call dict%put(" x", 6)
        call check(.not. dict%contains("x"), "leading ones do")
        call dict%put(7_int64, 8)
        call dict%get(7_int32, found)
        call check(found == 8 .and. .not. dict%contains("7") .and. .not. dict%contains(7.0_real64), "a number is a key")
        call dict%put("", 1, stat=code, errmsg=message)
        call check(code == ddict_invalid_argument .and. index(message, "key") > 0, "an empty key: " // message)
        call dict%put(.true., 1, stat=code)
        call check(code == ddict_invalid_argument, "a key of another kind")
        call dict%put(repeat("k", 1025), 1, stat=code)
        call check(code == ddict_too_large, "a key that is too long")
    end subroutine

    subroutine texts()
        character(4) :: short
        character(:), allocatable :: found
        call dict%put("text", "  Dragon  ")
        call dict%get_allocatable("text", found)
        call check(len(found) == 10 .and. found == "  Dragon  ", "blanks are stored")
        short = "same"
        call dict%get("text", short, stat=code, errmsg=message)
        call check(code == ddict_invalid_argument, "text that is too long: " // message)
        call dict%put("empty", "")
        call dict%get_allocatable("empty", found)
        call check(len(found) == 0, "empty text")
        call dict%get("empty", short)
        call check(short == "    ", "empty text is blanks")
    end subroutine

    subroutine shapes()
        real(real64) :: field(2, 3), other(3, 2), flat(6)
        real(real64), allocatable :: found(:, :), line(:), none(:)
        integer(int32) :: integers(2, 3)
        field = 1
        call dict%put("field", field)
        call dict%get("field", other, stat=code, errmsg=message)
        call check(code == ddict_wrong_type .and. index(message, "3 x 2") > 0, "another shape: " // message)
        call dict%get("field", flat, stat=code)
        call check(code == ddict_wrong_type, "another rank")
        call dict%get("field", integers, stat=code)
        call check(code == ddict_wrong_type, "another kind")
        call dict%get_allocatable("field", line, stat=code, errmsg=message)
        call check(code == ddict_wrong_type .and. index(message, "rank 2, not 1") > 0, "another rank: " // message)
        call check(.not. allocated(line), "nothing is allocated then")
        call dict%put("field", 1.0_real64)
        call dict%get_allocatable("field", found, stat=code)
        call check(code == ddict_wrong_type .and. .not. allocated(found), "a scalar is no array")
        allocate (none(0))
        call dict%put("none", none)
        call dict%get("none", none)
        call dict%get_allocatable("none", line)
        call check(size(line) == 0, "an array of nothing")
    end subroutine

    ! What is not contiguous is handed over as a copy, and comes back.
    subroutine sections()
        real(real32) :: field(4, 6), found(4, 6)
        integer :: i
        field = reshape([(real(i, real32), i = 1, 24)], [4, 6])
        call dict%put("section", field(1:4:2, 2:6:2))
        found = 0
        call dict%get("section", found(2:4:2, 1:3))
        call check(all(abs(found(2:4:2, 1:3) - field(1:4:2, 2:6:2)) <= 0), "a section")
        call check(all(abs(found(1:3:2, :)) <= 0) .and. all(abs(found(:, 4:)) <= 0), "the rest stays as it is")
    end subroutine

    subroutine others()
        logical :: erased
        integer(int64) :: before, pairs
        integer(int32) :: small
        call dict%erase("counter", erased)
        call check(.not. erased, "erase of nothing")
        call dict%add("counter", 5_int64)
        call dict%add("counter", -2_int64, before)
        call check(before == 5, "add")
        call dict%get("counter", small)
        call check(small == 3, "a number is read as another kind")
        pairs = dict%size()
        call dict%wait_for("counter")
        call dict%erase("counter", erased)
        call check(erased .and. dict%size() == pairs - 1 .and. .not. dict%contains("counter"), "erase")
        call dict%wait_for("counter", timeout=0.05_real64, stat=code)
        call check(code == ddict_timeout, "wait_for without success")
    end subroutine

    subroutine times_to_live()
        type(dictionary) :: short, leased, waiting
        logical :: there
        real(real64) :: left
        integer :: found
        call dict%with_ttl(0.2_real64, short)
        call short%put("soon gone", 1)
        call dict%with_ttl(3600.0_real64, leased)
        call leased%put("alive", 2)
        left = dict%time_to_live("alive")
        call check(left > 3500 .and. left <= 3600, "time_to_live")
        call dict%put("stays", 3)
        call check(dict%time_to_live("stays") >= huge(left), "time_to_live of what has no end")
        left = dict%time_to_live("nobody", stat=code)
        call check(code == ddict_not_found, "time_to_live of nothing")
        call dict%touch("nobody", 1.0_real64, there)
        call check(.not. there, "touch of nothing")
        call dict%touch("alive", 60.0_real64, there)
        call check(there .and. dict%time_to_live("alive") <= 60, "touch")
        call dict%touch("alive")
        call check(dict%time_to_live("alive") >= huge(left), "touch without an end")
        call dict%wait_for("soon gone", alive="alive")
        call dict%wait_for("never there", timeout=20.0_real64, alive="soon gone", stat=code)
        call check(code == ddict_not_found .and. .not. dict%contains("soon gone"), "wait_for as long as another key is there")
        call dict%when_space(waiting)
        call waiting%put("waiting", 4)
        call dict%get("waiting", found)
        call check(found == 4, "when_space")
        call nobody%with_ttl(1.0_real64, short, stat=code)
        call check(code == ddict_invalid_argument .and. short%is_attached(), "a view of no dictionary leaves what was there")
        call short%detach()
        call leased%detach()
        call waiting%detach()
        call check(dict%contains("stays"), "the dictionary outlives its views")
    end subroutine

    subroutine failures()
        integer :: found
        message = "as before"
        call dict%put("x", 1, stat=code, errmsg=message)
        call check(code == ddict_ok .and. message == "as before", "success leaves errmsg alone")
        call dict%get("nobody", found, stat=code, errmsg=message)
        call check(code == ddict_not_found .and. index(message, "nobody") > 0, message)
        call dict%put("large", 2_int64**40)
        call dict%get("large", found, stat=code)
        call check(code == ddict_wrong_type, "a number that does not fit")
        call nobody%attach(handle="nonsense", stat=code, errmsg=message)
        call check(code == ddict_bad_handle .and. .not. nobody%is_attached(), message)
    end subroutine
end program
